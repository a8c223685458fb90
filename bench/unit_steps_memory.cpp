#include "bench/http_client.hpp"
#include "bench/scratch_files.hpp"
#include "bench/unit_steps.hpp"

#include <netinet/in.h>
#include <openssl/evp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <array>
#include <thread>

namespace keepstore::bench {

namespace {

constexpr std::size_t step_bytes = 256 * 1024;
constexpr std::size_t cached_file_bytes = 64 * 1024 * 1024;

std::vector<char> hot_buffer() {
    return std::vector<char>(step_bytes, 'k');
}

/// Two connected TCP sockets on loopback. A Unix pair would not cost what clients cost.
struct tcp_pair {
    owned_fd near{-1};
    owned_fd far{-1};
};

tcp_pair connect_pair() {
    const owned_fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    server_address address;
    address.socket.sin_family = AF_INET;
    address.socket.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address.socket);
    socklen_t length = sizeof address.socket;
    if (!set_congestion(listener.get(), "cubic")) throw_errno("TCP_CONGESTION=cubic");
    if (::bind(listener.get(), generic, length) != 0 || ::listen(listener.get(), 1) != 0 ||
        ::getsockname(listener.get(), generic, &length) != 0) {
        throw_errno("listen");
    }
    owned_fd near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!set_congestion(near.get(), "cubic")) throw_errno("TCP_CONGESTION=cubic");
    if (::connect(near.get(), generic, length) != 0) throw_errno("connect");
    owned_fd far(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (far.get() < 0) throw_errno("accept");
    return {std::move(near), std::move(far)};
}

void discard_all(int fd) {
    // MSG_TRUNC: dropped by the kernel, so that the other side sets the pace.
    while (::recv(fd, nullptr, 4 * step_bytes, MSG_TRUNC) > 0) {
    }
}

void send_until_closed(int fd) {
    const auto buffer = hot_buffer();
    while (::send(fd, buffer.data(), buffer.size(), MSG_NOSIGNAL) > 0) {
    }
}

/// Calls `step` (returns bytes done, <= 0 on failure) until the time is up.
template <class Step>
cost repeat(double seconds, Step step) {
    const cost_meter meter(CLOCK_THREAD_CPUTIME_ID);
    double bytes = 0;
    while (meter.wall_seconds() < seconds) {
        for (int i = 0; i < 8; ++i) {
            const ssize_t done = step();
            if (done <= 0) throw_errno("measured step");
            bytes += static_cast<double>(done);
        }
    }
    return meter.finish(bytes);
}

owned_fd cached_file(const scratch_folder& folder) {
    auto file = open_file(folder / "cached", O_RDWR | O_CREAT);
    const auto buffer = hot_buffer();
    for (std::size_t at = 0; at < cached_file_bytes; at += buffer.size()) {
        if (::pwrite(file.get(), buffer.data(), buffer.size(), static_cast<off_t>(at)) < 0) throw_errno("write");
    }
    return file;
}

}  // namespace

std::optional<cost> measure_md5(const step_settings& settings) {
    const auto buffer = hot_buffer();
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(context, EVP_md5(), nullptr);
    const auto result = repeat(settings.seconds, [&] {
        EVP_DigestUpdate(context, buffer.data(), buffer.size());
        return static_cast<ssize_t>(buffer.size());
    });
    EVP_MD_CTX_free(context);
    return result;
}

std::optional<cost> measure_pread(const step_settings& settings) {
    const scratch_folder folder(settings.folder);
    const auto file = cached_file(folder);
    auto buffer = hot_buffer();
    off_t at = 0;
    return repeat(settings.seconds, [&] {
        const auto got = ::pread(file.get(), buffer.data(), buffer.size(), at);
        at = (at + got) % static_cast<off_t>(cached_file_bytes);
        return got;
    });
}

std::optional<cost> measure_recv(const step_settings& settings) {
    auto pair = connect_pair();
    const std::jthread sender([&] { send_until_closed(pair.far.get()); });
    auto buffer = hot_buffer();
    const auto result =
        repeat(settings.seconds, [&] { return ::recv(pair.near.get(), buffer.data(), buffer.size(), 0); });
    ::shutdown(pair.near.get(), SHUT_RDWR);
    pair.near.reset();
    return result;
}

std::optional<cost> measure_send(const step_settings& settings) {
    auto pair = connect_pair();
    const std::jthread receiver([&] { discard_all(pair.far.get()); });
    const auto buffer = hot_buffer();
    const auto result =
        repeat(settings.seconds, [&] { return ::send(pair.near.get(), buffer.data(), buffer.size(), MSG_NOSIGNAL); });
    pair.near.reset();
    return result;
}

std::optional<cost> measure_sendfile(const step_settings& settings) {
    const scratch_folder folder(settings.folder);
    const auto file = cached_file(folder);
    auto pair = connect_pair();
    const std::jthread receiver([&] { discard_all(pair.far.get()); });
    off_t at = 0;
    const auto result = repeat(settings.seconds, [&] {
        const auto sent = ::sendfile(pair.near.get(), file.get(), &at, 4 * step_bytes);
        if (at >= static_cast<off_t>(cached_file_bytes)) at = 0;
        return sent;
    });
    pair.near.reset();
    return result;
}

}  // namespace keepstore::bench
