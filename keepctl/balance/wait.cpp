/// The part of a run that asks servers how far they are with their lists, and waits for them.
#include "keepctl/balance/run.hpp"
#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/limits.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl::balance {
namespace {

awaitable<asked_work> ask_one(const keep_server& server) {
    auto found = co_await ask_work(server, deadline::in(limits::keepctl_request_timeout));
    if (!found) co_return asked_work{.error_text = found.error().text};
    co_return asked_work{.work = std::move(*found)};
}

/// Items that ended so since `before`; nothing if the server does not say it, or has begun anew.
std::optional<std::uint64_t> since(const server_work& before, const server_work& after, const std::string& outcome) {
    const auto first = before.pull.outcomes.find(outcome);
    const auto last = after.pull.outcomes.find(outcome);
    if (first == before.pull.outcomes.end() || last == after.pull.outcomes.end()) return std::nullopt;
    if (before.started_at != after.started_at || last->second < first->second) return std::nullopt;
    return static_cast<std::uint64_t>(last->second - first->second);
}

bool is_idle(const server_work& work) {
    return work.pull.pending + work.pull.running + work.trash.pending + work.trash.running == 0;
}

}  // namespace

awaitable<std::vector<asked_work>> run::ask_all() {
    auto out = co_await all_at_once(found_.all.servers.size(), [&](std::size_t i) { return ask_one(server(i)); });
    co_return out ? std::move(*out) : std::vector<asked_work>();
}

std::optional<pull_end> compare_pulls(std::uint64_t sent, const server_work& before, const server_work& after) {
    const auto pulled = since(before, after, "pulled");
    const auto present = since(before, after, "present");
    const auto failed = since(before, after, "failed");
    if (!pulled || !present || !failed || after.pull.pending + after.pull.running > 0) return std::nullopt;
    // Items of an older list that was being worked on count, too.
    const auto done = std::min(sent, *pulled + *present);
    return pull_end{.sent = sent, .pulled = *pulled, .present = *present, .failed = *failed, .missing = sent - done};
}

void run::judge_pulls(const std::vector<asked_work>& after) {
    pull_ends_.resize(found_.all.servers.size());
    for (std::size_t i = 0; i < pull_ends_.size() && i < before_pulls_.size(); ++i) {
        const auto& url = found_.all.servers[i].url;
        const auto sent = pulls_[i].size();
        if (sent == 0) continue;
        if (before_pulls_[i].work && after[i].work)
            pull_ends_[i] = compare_pulls(sent, *before_pulls_[i].work, *after[i].work);
        const auto& end = pull_ends_[i];
        if (!end) {
            reports_.warn(fmt::format("{} does not say what came of its {} pulls", url, sent));
        } else if (end->missing > 0) {
            failures_.push_back({exit_code::some_failed,
                                 fmt::format("{} did not carry out {} of {} pulls ({} failed); its log says why", url,
                                             end->missing, sent, end->failed)});
        }
    }
}

awaitable<void> run::wait_for_lists(deadline until) {
    using clock = std::chrono::steady_clock;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    struct progress {
        std::int64_t left = -1;
        clock::time_point changed_at = clock::now();
        bool reported = false;
    };
    std::vector<progress> all(found_.all.servers.size());
    while (!stopped_) {
        const auto asked = co_await ask_all();
        if (asked.empty()) co_return;
        bool busy = false;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const auto& work = asked[i].work;
            if (!work && asked[i].error_text.empty()) continue;  // It does not say.
            const auto left = work ? work->pull.pending + work->pull.running + work->trash.pending + work->trash.running
                                   : std::int64_t{0};
            busy = busy || !work || !is_idle(*work);
            if (left != all[i].left) all[i] = {.left = left};
            if (left > 0 && !all[i].reported && clock::now() - all[i].changed_at > limits::balance_stuck_after) {
                all[i].reported = true;
                reports_.warn(
                    fmt::format("{} makes no progress with its lists; is a volume full?", found_.all.servers[i].url));
            }
        }
        if (!busy || until.passed()) {
            if (busy) failures_.push_back({exit_code::not_finished, "the lists are not worked off yet"});
            judge_pulls(asked);
            co_return;
        }
        timer.expires_after(limits::balance_wait_poll);
        if (const auto [failed] = co_await timer.async_wait(use_tuple); failed) co_return;
    }
}

}  // namespace keepstore::keepctl::balance
