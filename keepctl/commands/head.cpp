#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/commands/commands.hpp"
#include "protocol/locator.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

awaitable<outcome<exit_code>> head_all(session& s, const std::vector<keep_server>& servers) {
    bool all_good = true;
    bool responded = false;
    for (const auto& text : s.given().blocks) {
        const auto block = protocol::locator::parse(text);
        const auto sizes = co_await all_at_once(servers.size(), [&](std::size_t i) {
            return servers[i].head(block->hash, block->size, deadline::in(limits::keepctl_block_timeout));
        });
        if (!sizes) co_return exit_code::interrupted;
        bool good = false;
        for (std::size_t i = 0; i < servers.size(); ++i) {
            const auto& size = (*sizes)[i];
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
    co_return s.out().end(code);
}

}  // namespace

outcome<exit_code> run_head(session& s) {
    KS_TRY(const auto servers, s.servers());
    return s.run(head_all(s, servers));
}

}  // namespace keepstore::keepctl
