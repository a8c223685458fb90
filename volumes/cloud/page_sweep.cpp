#include "volumes/cloud/page_sweep.hpp"

#include "base/log.hpp"
#include "base/when_all.hpp"
#include "volumes/cloud/volume_core.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::volumes::cloud {
namespace {

/// What the workers of a sweep share.
struct sweep_state {
    volume_core& core;
    const trash_sweep& what;
    block_time began;
    std::vector<protocol::listed_object> page = {};
    std::size_t next = 0;  ///< The next object of the page that a worker takes.
    empty_trash_stats stats = {};
    std::optional<error> failed = {};
};

awaitable<void> work(sweep_state& s) {
    while (!s.failed && s.next < s.page.size()) {
        const auto& one = s.page[s.next++];
        auto outcome = co_await s.what.look(one, s.began);
        if (!outcome && (outcome.error() == errc::cancelled || !s.core.breaker->allow())) {
            s.failed = outcome.error();
            co_return;
        }
        if (!outcome) {
            warn_of_trash(s.core, one, outcome.error().text);
            outcome = swept::kept;
        }
        if (*outcome == swept::deleted) {
            ++s.stats.blocks_deleted;
            s.stats.bytes_deleted += one.size;
        } else if (*outcome == swept::kept) {
            ++s.stats.blocks_in_trash;
            s.stats.bytes_in_trash += one.size;
        }
    }
}

}  // namespace

void warn_of_trash(const volume_core& core, const protocol::listed_object& object, std::string_view why) {
    const auto& where = core.setup.where;
    const std::string block = object.key.substr(object.key.rfind('/') + 1);
    log::warning("cannot process a block in the trash", {{"block", block}, {where.kind, where.name}, {"error", why}});
}

awaitable<result<empty_trash_stats>> sweep_pages(volume_core& core, trash_sweep what) {
    sweep_state s{.core = core, .what = what, .began = core.now_at_most()};
    while (true) {
        KS_CO_TRY(auto page, co_await what.list(what.where));
        // The clock of this server or of the service may be wrong; the response may just have shown it.
        s.began = std::min(s.began, core.now_at_most());
        what.where.continue_after(page);
        s.page = std::move(page.objects);
        s.next = 0;
        std::vector<awaitable<void>> all;
        for (unsigned i = 0; i < std::max(1U, what.workers); ++i) all.push_back(work(s));
        if (co_await when_all(std::move(all))) co_return fail(errc::cancelled);
        if (s.failed) co_return std::unexpected(*s.failed);
        if (!page.truncated) co_return s.stats;
    }
}

}  // namespace keepstore::volumes::cloud
