#include "base/unique_fd.hpp"
#include "digest/md5.hpp"
#include "keepctl/cluster/memory_body.hpp"
#include "keepctl/commands/commands.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

std::expected<std::vector<std::byte>, start_error> read_block(const std::string& path) {
    const bool standard = path.empty() || path == "-";
    const unique_fd file(standard ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const auto failed = [&](std::string_view what) {
        return std::unexpected(
            start_error{exit_code::usage, fmt::format("{}: {}", standard ? "standard input" : path, what)});
    };
    if (!file) return failed(error_from_errno(errno, "open").text);
    std::vector<std::byte> out(limits::block_size_bytes_max + 1);
    std::size_t have = 0;
    while (have < out.size()) {
        const ssize_t n = ::read(file.get(), out.data() + have, out.size() - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(error_from_errno(errno, "read").text);
        if (n == 0) break;
        have += static_cast<std::size_t>(n);
    }
    if (have > limits::block_size_bytes_max) return failed("has more than 64 MiB; a block has at most 64 MiB");
    out.resize(have);
    return out;
}

awaitable<exit_code> put_block(session& s, const std::vector<keep_server>& servers, const_slice bytes,
                               md5_digest name) {
    const std::int64_t wanted = s.given().replication.value_or(1);
    std::int64_t stored = 0;
    std::string locator;
    std::vector<std::string> where;
    bool reached = false;
    for (const std::size_t number : probe_order(name, servers)) {
        if (stored >= wanted) break;
        memory_body body(bytes);
        auto put =
            co_await servers[number].put(name, body, s.given().classes, deadline::in(limits::keepctl_block_timeout));
        if (!put) {
            if (put.error() == errc::cancelled) co_return exit_code::interrupted;
            reached = reached || put.error() == errc::no_space || put.error() == errc::collision;
            s.out().warn(put.error().text);
            continue;
        }
        ++stored;
        locator = put->locator;
        where.push_back(servers[number].url());
    }
    if (stored > 0) s.out().add("stored", {{"locator", locator}, {"copies", stored}, {"servers", where}});
    if (stored < wanted) s.out().error(fmt::format("stored on {} of {} servers", stored, wanted));
    const auto code = stored >= wanted        ? exit_code::done
                      : stored > 0 || reached ? exit_code::some_failed
                                              : exit_code::unreachable;
    s.out().end(code);
    co_return code;
}

}  // namespace

exit_code run_put(session& s) {
    const auto servers = s.servers();
    if (!servers) return end_with(s, servers.error());
    const auto block = read_block(s.given().file);
    if (!block) return end_with(s, block.error());
    return s.run(put_block(s, *servers, copy_to_heap_slice(*block), digest::md5_of(*block)));
}

}  // namespace keepstore::keepctl
