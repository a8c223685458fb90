#include "keepctl/commands/input.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>

#include <array>
#include <cerrno>

namespace keepstore::keepctl {
namespace {

// A person's answer; what is longer is no answer.
constexpr std::size_t line_bytes_max = 4096;

bool may_wait(int descriptor) {
    struct stat about{};
    return ::fstat(descriptor, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}

}  // namespace

awaitable<result<std::size_t>> read_some(int descriptor, std::span<std::byte> into) {
    if (may_wait(descriptor)) {
        const int copy = ::dup(descriptor);
        if (copy < 0) co_return std::unexpected(error_from_errno(errno, "dup"));
        asio::posix::stream_descriptor waiting(co_await asio::this_coro::executor);
        boost::system::error_code refused;
        waiting.assign(copy, refused);
        if (refused) {
            // What epoll does not take, as /dev/null, never makes a reader wait.
            ::close(copy);
        } else {
            const auto [failed] = co_await waiting.async_wait(asio::posix::stream_descriptor::wait_read, use_tuple);
            if (failed) co_return fail(errc::cancelled);
        }
    }
    while (true) {
        const ssize_t n = ::read(descriptor, into.data(), into.size());
        if (n >= 0) co_return static_cast<std::size_t>(n);
        if (errno != EINTR) co_return std::unexpected(error_from_errno(errno, "read"));
    }
}

awaitable<result<std::string>> read_line(int descriptor) {
    std::string out;
    std::array<std::byte, 256> piece{};
    while (out.size() < line_bytes_max) {
        KS_CO_TRY(const std::size_t count, co_await read_some(descriptor, piece));
        out.append(reinterpret_cast<const char*>(piece.data()), count);
        if (const auto end = out.find('\n'); end != std::string::npos || count == 0) co_return out.substr(0, end);
    }
    co_return fail(errc::too_large, "the line is too long");
}

}  // namespace keepstore::keepctl
