#include "base/when_all.hpp"
#include "keepctl/commands/commands.hpp"
#include "protocol/locator.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

struct head_outcome {
    result<std::uint64_t> size = fail(errc::cancelled);
};

awaitable<void> head_one(const keep_server& server, protocol::locator block, head_outcome& out) {
    out.size = co_await server.head(block.hash, block.size, deadline::in(limits::keepctl_block_timeout));
}

awaitable<exit_code> head_all(session& s, const std::vector<keep_server>& servers) {
    bool all_good = true;
    bool responded = false;
    for (const auto& text : s.given().blocks) {
        const auto block = protocol::locator::parse(text);
        std::vector<head_outcome> outcomes(servers.size());
        std::vector<awaitable<void>> calls;
        for (std::size_t i = 0; i < servers.size(); ++i) calls.push_back(head_one(servers[i], *block, outcomes[i]));
        if (co_await when_all(std::move(calls))) co_return exit_code::interrupted;
        bool good = false;
        for (std::size_t i = 0; i < servers.size(); ++i) {
            const auto& size = outcomes[i].size;
            const bool absent = !size && size.error() == errc::not_found;
            const bool bad = !size && size.error() == errc::checksum_mismatch;
            good = good || size.has_value();
            responded = responded || size || absent || bad;
            if (!size && !absent) all_good = false;
            s.out().add("copy", {{"block", block->hash.hex()},
                                 {"server", servers[i].url()},
                                 {"state", size     ? "good"
                                           : absent ? "absent"
                                           : bad    ? "bad"
                                                    : "unknown"},
                                 {"size", size ? cell(static_cast<std::int64_t>(*size)) : cell()},
                                 {"note", size || absent ? cell() : cell(size.error().text)}});
        }
        all_good = all_good && good;
    }
    const auto code = !responded ? exit_code::unreachable : all_good ? exit_code::done : exit_code::some_failed;
    s.out().end(code);
    co_return code;
}

}  // namespace

exit_code run_head(session& s) {
    const auto servers = s.servers();
    if (!servers) return end_with(s, servers.error());
    return s.run(head_all(s, *servers));
}

}  // namespace keepstore::keepctl
