#include "keepctl/balance/run.hpp"

#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/count_text.hpp"
#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/listing.hpp"
#include "keepctl/cluster/shards.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>
#include <variant>

namespace keepstore::keepctl::balance {
namespace {

awaitable<server_answer> ask_server(const keep_server& server) {
    server_answer out{.url = server.url(), .identity = server.identity()};
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (unsigned number = 1;; ++number) {
        auto found = co_await server.mounts(deadline::in(limits::keepctl_request_timeout));
        if (found) {
            out.mounts = std::move(found->mounts);
            out.clock_ahead = found->clock_ahead;
            co_return out;
        }
        out.mounts = std::unexpected(std::move(found.error()));
        const auto& why = out.mounts.error();
        if (why == errc::cancelled || is_final(why) || number == limits::balance_survey_attempts_max) co_return out;
        timer.expires_after(limits::balance_survey_pause);
        if (const auto [failed] = co_await expiry(timer); failed) co_return out;
    }
}

awaitable<result<void>> list_device_once(const keep_server& server, std::string uuid, std::string prefix,
                                         std::uint16_t device, std::vector<entry>& out, listing_notes& notes) {
    out.clear();
    notes = {};
    co_return co_await server.index(uuid, prefix, device, out, deadline::in(limits::listing_time_max), &notes);
}

awaitable<result<void>> list_device(const keep_server& server, std::string uuid, std::string prefix,
                                    std::uint16_t device, async_semaphore& device_turn, std::vector<entry>& out,
                                    listing_notes& notes) {
    KS_CO_TRY(const auto turn, co_await device_turn.acquire(deadline::never()));
    const std::function<awaitable<result<void>>()> once = [&] {
        return list_device_once(server, uuid, prefix, device, out, notes);
    };
    co_return co_await list_in_attempts(once);
}

std::size_t entries_in(const std::vector<std::vector<entry>>& listed) {
    std::size_t out = 0;
    for (const auto& one : listed) out += one.size();
    return out;
}

/// Made when it goes, whatever the reason.
struct announcement {
    one_shot<std::monostate> to;
    ~announcement() { to.set(std::monostate{}); }
};

std::int64_t nanoseconds_of(std::chrono::system_clock::time_point at) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

}  // namespace

run::run(run_input& input, run_options options, run_reports& reports)
    : input_(input), options_(std::move(options)), reports_(reports) {
    if (input_.last) next_ = *input_.last;
}

bool run::stopping() const {
    return std::ranges::any_of(problems_, &problem::stops);
}

awaitable<void> run::execute() {
    if (!co_await survey_servers()) co_return;
    if (options_.apply != apply_level::nothing && !co_await refuse_foreign_lists()) co_return;
    if (options_.apply == apply_level::all && !co_await clear_trash_lists()) co_return;
    if (!co_await make_plan()) co_return;
    if (stopping()) co_return;
    remember();
    if (options_.apply != apply_level::nothing)
        co_await send_lists();
    else
        (void)co_await prove_kept();
}

awaitable<bool> run::survey_servers() {
    const auto asked =
        co_await all_at_once(input_.servers.size(), [&](std::size_t i) { return ask_server(input_.servers[i]); });
    if (!asked) co_return false;
    const auto& answers = *asked;
    for (const auto& a : answers) {
        if (!a.mounts && (a.mounts.error() == errc::unauthorized || a.mounts.error() == errc::forbidden)) {
            failures_.push_back({exit_code::unreachable, a.mounts.error().text});
            co_return false;
        }
    }
    if (std::ranges::none_of(answers, [](const server_answer& a) { return a.mounts.has_value(); })) {
        failures_.push_back({exit_code::unreachable, "no server responds: " + answers.front().mounts.error().text});
        co_return false;
    }
    expectations expected{.mounts = input_.configured_mounts, .last = input_.last ? &*input_.last : nullptr};
    for (const auto& [name, copies] : input_.policy.desired) expected.classes.push_back(name);
    for (const auto& name : input_.names.all) expected.classes.push_back(name);
    found_ = make_survey(answers, expected, input_.allowed);
    problems_ = found_.problems;
    co_return !stopping();
}

plan_options run::options_of_plan() const {
    using namespace std::chrono;
    plan_options out{.by_references = input_.spool != nullptr, .moves = options_.moves};
    for (const auto& name : found_.all.classes) {
        const auto given = input_.policy.desired.find(name);
        out.desired.push_back(given == input_.policy.desired.end() ? std::nullopt : std::optional(given->second));
    }
    const auto now = system_clock::now();
    out.now = nanoseconds_of(now + found_.clock_most);
    out.cutoff =
        nanoseconds_of(now + found_.clock_least - limits::balance_clock_slack) - input_.trash.signing_ttl.count();
    out.pulls_max = static_cast<std::size_t>(input_.policy.pull_per_server);
    out.trashes_max = static_cast<std::size_t>(input_.policy.trash_per_server);
    for (const auto& name : input_.names.all) {
        const auto at = std::ranges::find(found_.all.classes, name);
        out.reference_classes.push_back(static_cast<std::uint16_t>(at - found_.all.classes.begin()));
    }
    return out;
}

awaitable<result<std::uint64_t>> run::list_devices(std::string prefix, std::vector<std::vector<entry>>& listed) {
    const auto count = found_.all.devices.size();
    listed.resize(count);
    std::vector<listing_notes> notes(count);
    while (device_turns_.size() < count) device_turns_.emplace_back(1);
    const auto list_one = [&](std::size_t i) {
        return list_device(server(found_.listed_by[i]), found_.all.devices[i], prefix, static_cast<std::uint16_t>(i),
                           device_turns_[i], listed[i], notes[i]);
    };
    KS_CO_TRY(const auto ends, co_await all_at_once(count, list_one));
    for (const auto& end : ends) KS_CO_CHECK(end);
    std::uint64_t too_large = 0;
    for (const auto& n : notes) too_large += n.too_large;
    co_return too_large;
}

awaitable<result<unsigned>> run::choose_digits() {
    if (options_.digits) co_return *options_.digits;
    std::vector<std::vector<entry>> listed;
    KS_CO_CHECK(co_await list_devices("000", listed));
    unsigned looked_at = 3;
    if (entries_in(listed) < limits::estimate_entries_min) {
        KS_CO_CHECK(co_await list_devices("0", listed));
        looked_at = 1;
    }
    co_return std::max(1U,
                       shard_digits(entries_in(listed) * shard_count(looked_at), limits::balance_shard_entries_max));
}

void run::end_shard(result<void> references_read) {
    blocks_decided_ = plan_->counts().total.blocks;
    decide_time_ = pipeline_->decide_time();
    if (references_read) {
        ++shards_done_;
    } else {
        ++shards_incomplete_;
        failures_.push_back({exit_code::not_finished, "references: " + references_read.error().text});
    }
}

/// Shards that several coroutines list, and begin in their order.
struct run::shard_list {
    std::vector<std::string> prefixes;
    bool last_chance = false;
    std::size_t next = 0;
    std::vector<std::string> again = {};  // Those that could not be listed.
    bool ended_early = false;
    async_semaphore turn{1};                   // To take the next one, and a place for it.
    one_shot<std::monostate> last_begun = {};  // The one that was taken last.
};

/// \returns whether all were looked at, or found to be incomplete.
awaitable<bool> run::look_at_shards(std::vector<std::string> prefixes) {
    pipeline_.emplace(found_.all, *plan_, input_.spool, options_.threads,
                      [this](result<void> read) { end_shard(std::move(read)); });
    for (const bool last_chance : {false, true}) {
        shard_list work{.prefixes = std::move(prefixes), .last_chance = last_chance};
        work.last_begun.set(std::monostate{});
        const auto list_some = [&] { return list_shards(work); };
        if (co_await run_workers(limits::balance_shards_listed_max, list_some) || work.ended_early) co_return false;
        prefixes = std::move(work.again);
    }
    co_return co_await pipeline_->finish() && !stopped_;
}

awaitable<void> run::list_shards(shard_list& work) {
    while (true) {
        auto turn = co_await work.turn.acquire(deadline::never());
        if (!turn || work.ended_early || work.next == work.prefixes.size()) co_return;
        auto* const place = co_await pipeline_->next();
        if (!place) {
            work.ended_early = true;
            co_return;
        }
        auto prefix = std::move(work.prefixes[work.next++]);
        const auto before = std::exchange(work.last_begun, {});
        const announcement begun{work.last_begun};
        *turn = {};
        const auto listed = co_await list_devices(prefix, *place);
        const bool in_turn = (co_await before.wait()).has_value();
        if (!in_turn || stopped_ || (!listed && listed.error() == errc::cancelled)) work.ended_early = true;
        if (!work.ended_early) begin_listed(work, std::move(prefix), place, listed);
    }
}

void run::begin_listed(shard_list& work, std::string prefix, const shard_pipeline::listings* place,
                       const result<std::uint64_t>& listed) {
    if (listed) {
        too_large_ += *listed;
        pipeline_->begin(place, std::move(prefix));
        return;
    }
    pipeline_->give_back(place);
    if (!work.last_chance) {
        work.again.push_back(std::move(prefix));
        return;
    }
    ++shards_incomplete_;
    failures_.push_back(
        {exit_code::not_finished, fmt::format("blocks {}... could not be looked at: {}", prefix, listed.error().text)});
}

awaitable<bool> run::make_plan() {
    plan_.emplace(found_.all, options_of_plan(), [this](block_id block) { reports_.lost(block); });
    const auto digits = co_await choose_digits();
    if (!digits) {
        if (digits.error() != errc::cancelled)
            failures_.push_back({exit_code::not_finished, "no index could be read: " + digits.error().text});
        co_return false;
    }
    const std::size_t all = shard_count(*digits);
    std::vector<std::string> prefixes;
    for (std::size_t i = 0; i < all; ++i) {
        auto prefix = narrowed(shard_prefix(*digits, (i + options_.first_shard) % all), options_.prefix);
        if (prefix) prefixes.push_back(std::move(*prefix));
    }
    shards_total_ = prefixes.size();
    const bool all_of_them = co_await look_at_shards(std::move(prefixes));
    planned_ = true;
    if (!all_of_them) co_return false;
    if (shards_done_ == 0) co_return false;
    if (shards_incomplete_ > 0)
        problems_.push_back({.text = fmt::format("{} of {} could not be looked at", shards_incomplete_,
                                                 keepctl::count_of(shards_total_, "part"))});
    // An index that is not whole must not look like one that shrank.
    const bool partial = !options_.prefix.empty() || shards_incomplete_ > 0;
    for (auto& p : judge_plan(found_, *plan_, input_.policy, input_.references, input_.trash, input_.allowed,
                              input_.last ? &*input_.last : nullptr, partial))
        problems_.push_back(std::move(p));
    take_lists();
    if (options_.verify_kept) {
        proofs_.emplace(found_.all.servers.size(), options_.jobs, [this](std::size_t i, block_id block) {
            return server(i).head(block.name, block.size, deadline::in(limits::keepctl_block_timeout));
        });
    }
    co_return true;
}

void run::take_lists() {
    for (auto& s : plan_->servers()) {
        pulls_.push_back(s.pulls.take());
        trashes_.push_back(s.trashes.take());
    }
}

// Without the lists: those are noted before they are sent.
void run::remember() {
    last_run seen{.ended_at = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()),
                  .references = next_.references};
    // Too few references stay too few, until the operator says otherwise.
    if (input_.references.used && (input_.allowed.fewer_references || !fewer_references(input_.references, next_)))
        seen.references = input_.references.count;
    for (std::size_t i = 0; i < found_.all.servers.size(); ++i) {
        known_server s{.url = found_.all.servers[i].url};
        if (const auto* const before = next_.find_server(s.url)) s = *before;
        s.mounts.clear();
        for (const auto& m : found_.all.mounts) {
            if (m.server == i) s.mounts.push_back(found_.all.devices[m.device]);
        }
        seen.servers.push_back(std::move(s));
    }
    const bool whole = options_.prefix.empty() && shards_incomplete_ == 0;
    for (std::size_t i = 0; i < found_.all.devices.size(); ++i) {
        const auto& uuid = found_.all.devices[i];
        const auto* const before = next_.find_device(uuid);
        if (!whole && !before) continue;
        seen.devices.push_back({.uuid = uuid,
                                .device_id = found_.device_ids[i],
                                .entries = whole ? plan_->devices()[i].copies : before->entries});
    }
    next_ = std::move(seen);
    if (!input_.folder) return;
    if (auto saved = input_.folder->save(next_); !saved)
        failures_.push_back({exit_code::not_finished, "the run is not remembered: " + saved.error().text});
}

}  // namespace keepstore::keepctl::balance
