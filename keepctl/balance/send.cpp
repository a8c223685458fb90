/// The part of a run that changes something: lists.
#include "base/async_semaphore.hpp"
#include "base/hex.hpp"
#include "base/sha256.hpp"
#include "keepctl/balance/run.hpp"
#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/limits.hpp"
#include "protocol/work_lists.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl::balance {
namespace {

/// "[]": also what an empty list must be, since Go's null is not understood by all.
std::string empty_list(std::size_t) {
    return "[]";
}

/// \returns why the list was not taken; empty if it was.
awaitable<std::string> send_one(const keep_server& server, std::string path, std::function<std::string()> body,
                                async_semaphore& places) {
    auto place = co_await places.acquire(deadline::never());
    if (!place) co_return "cancelled";
    const auto sent =
        co_await server.request("PUT", path, server.access().token, deadline::in(limits::balance_send_timeout), body());
    if (!sent) co_return sent.error().text;
    co_return sent->status == 200 || sent->status == 204 ? std::string() : server.refused(*sent, "PUT /" + path).text;
}

/// Whether the pending items come from a list that our runs did not send.
bool is_foreign(const list_work& work, const sent_lists* known) {
    if (work.pending == 0) return false;
    if (!known) return true;
    // The Go daemon does not say which list it has.
    if (work.last_sha256.empty()) return known->items == 0;
    return std::ranges::find(known->sha256, work.last_sha256) == known->sha256.end();
}

}  // namespace

awaitable<bool> run::refuse_foreign_lists() {
    const auto asked = co_await ask_all();
    if (asked.empty()) co_return false;
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto& url = found_.all.servers[i].url;
        if (!asked[i].error_text.empty()) {
            failures_.push_back({exit_code::not_finished, asked[i].error_text});
            continue;
        }
        if (!asked[i].work) {
            reports_.warn(fmt::format("{} does not say whether it works on a list (no management token?)", url));
            continue;
        }
        if (options_.take_over) continue;
        const auto* const known = next_.find_server(url);
        const bool pulls = is_foreign(asked[i].work->pull, known ? &known->pull : nullptr);
        const bool trash =
            options_.apply == apply_level::all && is_foreign(asked[i].work->trash, known ? &known->trash : nullptr);
        if (pulls || trash) {
            failures_.push_back(
                {exit_code::conflict, fmt::format("{} works on a {} list that another balancer has sent (--take-over "
                                                  "replaces it)",
                                                  url, trash ? "trash" : "pull")});
        }
    }
    co_return failures_.empty();
}

awaitable<bool> run::send_to_all(std::string path, std::function<std::string(std::size_t)> body) {
    async_semaphore places(limits::balance_lists_sent_max);
    const auto failed = co_await all_at_once(found_.all.servers.size(), [&](std::size_t i) {
        return send_one(server(i), path, [&body, i] { return body(i); }, places);
    });
    if (!failed) co_return false;
    bool all = true;
    for (const auto& text : *failed) {
        if (text.empty()) continue;
        failures_.push_back({exit_code::not_finished, text});
        all = false;
    }
    co_return all;
}

// Before a list is sent, so that after a kill the next run recognises it.
bool run::note_lists(bool trash, const std::function<std::string(std::size_t)>& body,
                     const std::function<std::uint64_t(std::size_t)>& items) {
    for (std::size_t i = 0; i < found_.all.servers.size(); ++i) {
        const auto& url = found_.all.servers[i].url;
        auto at = std::ranges::find(next_.servers, url, &known_server::url);
        if (at == next_.servers.end()) at = next_.servers.insert(at, {.url = url});
        (trash ? at->trash : at->pull).add(items(i), to_hex(sha256(body(i))));
    }
    if (!input_.folder) return true;
    auto saved = input_.folder->save(next_);
    if (!saved) failures_.push_back({exit_code::not_finished, "the lists are not remembered: " + saved.error().text});
    return saved.has_value();
}

awaitable<bool> run::clear_trash_lists() {
    if (!note_lists(true, empty_list, [](std::size_t) { return std::uint64_t{0}; })) co_return false;
    if (!co_await send_to_all("trash", empty_list)) co_return false;
    co_return co_await drain_trash();
}

// Items that were taken from an older list are finished before the indexes are read.
awaitable<bool> run::drain_trash() {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    const auto until = deadline::in(limits::balance_drain_wait);
    const auto blind_until = deadline::in(limits::balance_drain_blind_wait);
    while (true) {
        const auto asked = co_await ask_all();
        if (asked.empty()) co_return false;
        const auto busy = std::ranges::find_if(asked, [](const asked_work& a) {
            return a.work && (a.work->trash.running > 0 || a.work->trash.pending > 0);
        });
        const bool blind = std::ranges::any_of(asked, [](const asked_work& a) { return !a.work; });
        if (busy == asked.end() && (!blind || blind_until.passed())) co_return true;
        if (busy != asked.end() && until.passed()) {
            failures_.push_back({exit_code::not_finished,
                                 fmt::format("{} still trashes blocks of an older list",
                                             found_.all.servers[static_cast<std::size_t>(busy - asked.begin())].url)});
            co_return false;
        }
        timer.expires_after(limits::balance_drain_poll);
        if (const auto [failed] = co_await expiry(timer); failed) co_return false;
    }
}

std::string run::pull_body(std::size_t server_number) const {
    std::vector<protocol::pull_item> items;
    items.reserve(pulls_[server_number].size());
    for (const auto& p : pulls_[server_number]) {
        protocol::pull_item item{.locator = p.block.text(),
                                 .mount_uuid = found_.all.devices[found_.all.mounts[p.mount].device]};
        for (std::size_t i = 0; i < p.source_count; ++i) item.servers.push_back(found_.all.servers[p.sources[i]].url);
        items.push_back(std::move(item));
    }
    return items.empty() ? empty_list(0) : protocol::encode_list(items);
}

std::string run::trash_body(std::size_t server_number) const {
    std::vector<protocol::trash_item> items;
    items.reserve(trashes_[server_number].size());
    for (const auto& t : trashes_[server_number]) {
        items.push_back({.locator = t.block.text(),
                         .block_mtime = t.mtime,
                         .mount_uuid = found_.all.devices[found_.all.mounts[t.mount].device]});
    }
    return items.empty() ? empty_list(0) : protocol::encode_list(items);
}

std::uint64_t run::trashes_of(const std::string& uuid) const {
    std::uint64_t out = 0;
    for (const auto& list : trashes_) {
        for (const auto& t : list) out += found_.all.devices[found_.all.mounts[t.mount].device] == uuid ? 1 : 0;
    }
    return out;
}

awaitable<void> run::send_lists() {
    const std::function<std::string(std::size_t)> pull_of = [this](std::size_t i) { return pull_body(i); };
    const std::function<std::string(std::size_t)> trash_of = [this](std::size_t i) { return trash_body(i); };
    // The next run would take them for another balancer's.
    if (!note_lists(false, pull_of, [this](std::size_t i) { return pulls_[i].size(); })) co_return;
    if (options_.compare_pulls) before_pulls_ = co_await ask_all();
    if (stopped_) co_return;
    pulls_sent_ = co_await send_to_all("pull", pull_of);
    if (options_.apply != apply_level::all || !problems_.empty() || shards_incomplete_ > 0) co_return;
    if (!pulls_sent_ || stopped_) co_return;
    if (!co_await prove_kept() || stopped_) co_return;
    // Fewer entries are expected then.
    for (auto& known : next_.devices) known.entries -= std::min(known.entries, trashes_of(known.uuid));
    // Also, the next run would take what is missing then for a disk that is not mounted.
    if (!note_lists(true, trash_of, [this](std::size_t i) { return trashes_[i].size(); })) co_return;
    trashes_sent_ = co_await send_to_all("trash", trash_of);
}

awaitable<bool> run::prove_kept() {
    if (!proofs_) co_return true;
    if (!co_await proofs_->filter(trashes_)) co_return false;
    if (proofs_->bad() > 0) {
        failures_.push_back(
            {exit_code::some_failed,
             fmt::format("{} blocks are not trashed, since the copy that was to be kept is not good; {}",
                         proofs_->bad(), proofs_->first_bad())});
    }
    if (proofs_->unknown() > 0) {
        failures_.push_back(
            {exit_code::not_finished,
             fmt::format("{} blocks are not trashed, since the copy that was to be kept could not be verified; {}",
                         proofs_->unknown(), proofs_->first_unknown())});
    }
    if (proofs_->impossible() > 0) {
        reports_.warn(
            fmt::format("{} blocks are not trashed, since the servers that keep them trash a copy each, and "
                        "cannot be told which one to verify",
                        proofs_->impossible()));
    }
    co_return true;
}

}  // namespace keepstore::keepctl::balance
