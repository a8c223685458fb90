#include "base/unique_fd.hpp"
#include "digest/md5.hpp"
#include "keepctl/cluster/put_bodies.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/input.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <expected>
#include <span>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

awaitable<outcome<std::vector<std::byte>>> read_block(std::string path) {
    const bool standard = path.empty() || path == "-";
    const unique_fd opened(standard ? -1 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const int file = standard ? STDIN_FILENO : opened.get();
    const auto failed = [&](std::string_view what) {
        return refuse(exit_code::usage, fmt::format("{}: {}", standard ? "standard input" : path, what));
    };
    if (file < 0) co_return failed(error_from_errno(errno, "open").text);
    std::vector<std::byte> out(limits::block_size_bytes_max + 1);
    std::size_t have = 0;
    while (have < out.size()) {
        const auto count = co_await read_some(file, std::span(out).subspan(have));
        if (!count && count.error() == errc::cancelled) co_return refuse(exit_code::interrupted, count.error());
        if (!count) co_return failed(count.error().text);
        if (*count == 0) break;
        have += *count;
    }
    if (have > limits::block_size_bytes_max) co_return failed("has more than 64 MiB; a block has at most 64 MiB");
    out.resize(have);
    co_return out;
}

awaitable<outcome<exit_code>> put_block(session& s, const std::vector<keep_server>& servers) {
    KS_CO_TRY(const auto block, co_await read_block(s.given().file));
    const const_slice bytes = copy_to_heap_slice(block);
    const md5_digest name = digest::md5_of(block);
    const std::int64_t wanted = s.given().replication.value_or(1);
    if (s.given().dry_run) {
        const auto locator = fmt::format("{}+{}", name.hex(), block.size());
        std::vector<std::string> first;
        for (const std::size_t number : probe_order(name, servers)) {
            if (std::cmp_less(first.size(), wanted)) first.push_back(servers[number].url());
        }
        s.out().say(locator);
        if (s.out().shape() != output_shape::columns)
            s.out().add("planned", {{"locator", locator}, {"servers", first}});
        co_return s.out().end(exit_code::done);
    }
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
    if (stored > 0) {
        s.out().say(locator);
        if (s.out().shape() != output_shape::columns)
            s.out().add("stored", {{"locator", locator}, {"copies", stored}, {"servers", where}});
    }
    if (stored < wanted)
        s.out().error(
            fmt::format("stored on {} of {}", stored, count_of(static_cast<std::uint64_t>(wanted), "server")));
    const auto code = stored >= wanted        ? exit_code::done
                      : stored > 0 || reached ? exit_code::some_failed
                                              : exit_code::unreachable;
    co_return s.out().end(code);
}

}  // namespace

outcome<exit_code> run_put(session& s) {
    KS_TRY(const auto servers, s.servers());
    return s.run(put_block(s, servers));
}

}  // namespace keepstore::keepctl
