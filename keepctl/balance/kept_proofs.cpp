#include "keepctl/balance/kept_proofs.hpp"

#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl::balance {

kept_proofs::kept_proofs(std::size_t servers, unsigned jobs, verify_function verify)
    : jobs_(jobs), verify_(std::move(verify)), failures_in_a_row_(servers) {}

void kept_proofs::collect(const std::vector<std::vector<planned_trash>>& lists) {
    for (const auto& list : lists) {
        for (const auto& t : list) {
            if (t.proven_by != decision::no_proof) claims_.push_back({.block = t.block, .server = t.proven_by});
        }
    }
    // All items of a block come from one decision, and name one server.
    const auto name = [](const claim& c) { return c.block.name; };
    std::ranges::sort(claims_, {}, name);
    const auto repeated = std::ranges::unique(claims_, {}, name);
    claims_.erase(repeated.begin(), repeated.end());
}

bool kept_proofs::has_proof(const planned_trash& item) const {
    if (item.proven_by == decision::no_proof) return true;
    const auto at = std::ranges::lower_bound(claims_, item.block.name, {}, [](const claim& c) { return c.block.name; });
    return at != claims_.end() && at->block.name == item.block.name && at->proven;
}

awaitable<bool> kept_proofs::filter(std::vector<std::vector<planned_trash>>& lists) {
    collect(lists);
    const auto workers = std::min<std::size_t>(jobs_, claims_.size());
    if (co_await run_workers(workers, [this] { return work(); }) || stopped_) co_return false;
    for (auto& list : lists) std::erase_if(list, [&](const planned_trash& t) { return !has_proof(t); });
    co_return true;
}

// Workers take the claims in order; all of them run on one thread.
awaitable<void> kept_proofs::work() {
    while (next_ < claims_.size() && !stopped_) co_await prove(claims_[next_++]);
}

awaitable<void> kept_proofs::prove(claim& one) {
    if (one.server == decision::cannot_prove) {
        ++impossible_;
        co_return;
    }
    auto& failures = failures_in_a_row_[one.server];
    // A server that fails as a whole is not asked for each of a hundred thousand blocks.
    if (failures >= limits::place_failures_max) {
        ++unknown_;
        co_return;
    }
    const auto size = co_await verify_(one.server, one.block);
    if (!size && size.error() == errc::cancelled) co_return;
    const bool answered = size || size.error() == errc::checksum_mismatch || size.error() == errc::not_found;
    failures = answered ? 0 : failures + 1;
    if (!answered) {
        ++unknown_;
        if (first_unknown_.empty()) first_unknown_ = one.block.text() + ": " + size.error().text;
    } else if (size && *size == one.block.size) {
        one.proven = true;
        ++proven_;
    } else {
        ++bad_;
        if (first_bad_.empty()) {
            first_bad_ = one.block.text() + ": " +
                         (size ? fmt::format("the kept copy has {} bytes", *size) : std::string(size.error().text));
        }
    }
}

}  // namespace keepstore::keepctl::balance
