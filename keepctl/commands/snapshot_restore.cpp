#include "keepctl/snapshot/restore.hpp"

#include "base/event_loop_group.hpp"
#include "base/utc_text.hpp"
#include "keepctl/cluster/bandwidth.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/progress.hpp"
#include "keepctl/commands/run_frame.hpp"
#include "keepctl/commands/snapshot_context.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// Runs the restoration in the frame of a long run, and observes it for progress and the report.
class restore_work final : public framed_work, public restore_observer {
  public:
    restore_work(run_frame& frame, output& out) : frame_(frame), out_(out) {}
    void begin(restoration& engine) { engine_ = &engine; }

    [[nodiscard]] run_figures figures() const override {
        const auto& n = engine_->counts();
        return {.blocks = {{"present", n.present},
                           {"untrashed", n.untrashed},
                           {"copied", n.copied},
                           {"not_found", n.not_found},
                           {"bad_source", n.bad_source},
                           {"failed", n.failed},
                           {"left", n.left}},
                .bytes = n.bytes,
                .shards_done = engine_->shards_done(),
                .shards_total = engine_->shards_total(),
                .shards_incomplete = engine_->shards_incomplete()};
    }
    [[nodiscard]] std::string progress_line(double seconds, bool as_json) const override {
        const auto& n = engine_->counts();
        if (as_json)
            return fmt::format(
                R"({{"v":1,"type":"progress","shards_done":{},"shards":{},"looked_at":{},"restored":{},"bytes":{}}})",
                engine_->shards_done(), engine_->shards_total(), n.looked_at, n.untrashed + n.copied, n.bytes);
        return fmt::format("snapshot restore  shard {}/{}  {} looked at  {} restored {}  {}/s", engine_->shards_done(),
                           engine_->shards_total(), grouped(n.looked_at), grouped(n.untrashed + n.copied),
                           short_bytes(n.bytes),
                           short_bytes(static_cast<std::uint64_t>(static_cast<double>(n.bytes) / seconds)));
    }
    void stop() override { engine_->stop(); }
    [[nodiscard]] bool stopped() const override { return engine_->stopped(); }
    [[nodiscard]] std::size_t busy() const override { return engine_->busy(); }

    void warn(std::string_view text) override { frame_.warn(text); }
    void failed(const block_failure& failure) override { frame_.failed(failure); }
    void shard_done(std::size_t shard) override { frame_.shard_done(shard); }
    void planned(block_id block, std::string_view from) override {
        out_.add("block", {{"block", block.text()}, {"from", from.empty() ? cell() : cell(std::string(from))}});
    }

  private:
    run_frame& frame_;
    output& out_;
    restoration* engine_ = nullptr;
};

exit_code judge(const restoration& engine) {
    const auto& n = engine.counts();
    auto code = exit_code::done;
    if (!n.add_up() || engine.shards_incomplete() > 0 || n.left > 0 ||
        (engine.stopped() && engine.shards_done() < engine.shards_total()))
        code = worse(code, exit_code::not_finished);
    if (engine.fatal()) {
        const bool nothing_done = n.untrashed + n.copied == 0 && *engine.fatal() != errc::no_space;
        code = worse(code, nothing_done ? exit_code::unreachable : exit_code::not_finished);
    }
    if (n.not_found + n.bad_source + n.failed > 0) code = worse(code, exit_code::some_failed);
    return code;
}

/// The places of --from, and what else a block may be copied from.
awaitable<outcome<std::vector<block_place*>>> open_sources(snapshot_context& c, block_place& target,
                                                           std::vector<std::unique_ptr<block_place>>& opened) {
    std::vector<block_place*> out;
    for (const auto& from : c.asked().from) {
        KS_CO_TRY(auto source, co_await c.connected(from, {}));
        if (auto same = same_storage(*c.given().at, target, from, *source); !same.empty())
            co_return refuse(exit_code::usage, std::move(same));
        out.push_back(source.get());
        opened.push_back(std::move(source));
    }
    // One of its servers may have a copy that is not listed, another a bad one out of the trash.
    if (target.server_names().size() > 1) out.push_back(&target);
    co_return out;
}

/// The place, connected, with as many copies of a block as it is to have: those of --replication, else those of the
/// configuration as far as its servers can hold them.
awaitable<outcome<std::unique_ptr<block_place>>> open_target(const snapshot_context& c) {
    const auto& given = c.given();
    place_use use{.writes = !given.dry_run, .classes = given.classes, .copies = c.run.copies_wanted()};
    auto target = co_await c.connected(*given.at, use);
    if (!target) co_return target;
    const auto possible = (*target)->replicas_possible();
    if (possible == 0 && !given.dry_run)
        co_return refuse(exit_code::unreachable, nowhere_to_store(**target, given.classes));
    if (possible >= (*target)->replicas_wanted() || possible == 0) co_return target;
    if (given.replication)
        co_return refuse(exit_code::usage,
                         fmt::format("{}: --replication {} is more than its servers can hold of a block, {}",
                                     (*target)->name(), *given.replication, possible));
    use.copies = possible;
    co_return co_await c.connected(*given.at, use);
}

/// Takes the lock of the run, goes on with one that was killed, or begins a new one.
awaitable<outcome<void>> begin(const snapshot_context& c, run_frame& frame, restoration& engine,
                               const snapshot_document& of, const block_place& target,
                               const std::optional<std::vector<md5_digest>>& names) {
    const auto& given = c.given();
    if (!given.dry_run) {
        std::vector<std::string> parts{"snapshot restore",
                                       of.repository,
                                       of.id.text(),
                                       given.at->text,
                                       devices_of(target),
                                       given.classes,
                                       std::to_string(target.replicas_wanted()),
                                       names ? "only" : ""};
        if (names) {
            for (const auto& name : *names) parts.back() += name.hex();
        }
        for (const auto& from : c.asked().from) parts.push_back(from.text);
        KS_CO_CHECK(frame.open_state(parts));
    }
    if (frame.resumed()) co_return outcome<void>();
    KS_CO_TRY(const auto digits, co_await engine.choose_digits());
    frame.begin(digits);
    co_return outcome<void>();
}

awaitable<outcome<exit_code>> restore(snapshot_context& c, run_frame& frame) {
    const auto& given = c.given();
    restore_options options{.dry_run = given.dry_run,
                            .jobs = jobs_within(given.bandwidth, given.jobs.value_or(limits::keepctl_jobs_default)),
                            .memory_bytes = given.memory / 2,
                            .digest_threads = std::min(usable_processors(), limits::keepctl_digest_threads_max),
                            .bandwidth = given.bandwidth,
                            .give_up_after = given.give_up_after};
    if (!given.only_file.empty()) {
        KS_CO_TRY(options.only, read_names("--only", given.only_file));
    }
    KS_CO_CHECK(frame.open_failures());
    KS_CO_TRY(auto document, co_await c.whole(c.asked().id, true));
    KS_CO_TRY(auto target, co_await open_target(c));
    std::vector<std::unique_ptr<block_place>> opened;
    KS_CO_TRY(auto sources, co_await open_sources(c, *target, opened));
    if (const auto needed = options.memory_needed(sources.size()); options.memory_bytes < needed)
        co_return refuse(exit_code::usage,
                         fmt::format("--jobs {} with {} places to copy from need at least --memory {}MiB", options.jobs,
                                     sources.size(), 2 * needed / MiB));
    const auto named = options.only;
    restore_work work(frame, c.out());
    restoration engine(c.repo, document, *target, std::move(sources), std::move(options), work);
    work.begin(engine);
    KS_CO_CHECK(co_await begin(c, frame, engine, document, *target, named));
    outcome<void> end;
    co_await frame.run(work, [](restoration& what, const shard_set& done, outcome<void>& into) -> awaitable<void> {
        into = co_await what.run(done);
    }(engine, frame.done(), end));
    frame.clear();
    const auto& n = engine.counts();
    c.out().say(fmt::format(
        "{} looked at: {} present, {} back from the trash, {} {} ({}), {} not found, {} bad, {} failed, {} left",
        count_of(n.looked_at, "block"), grouped(n.present), grouped(n.untrashed), grouped(n.copied),
        given.dry_run ? "to be copied" : "copied", short_bytes(n.bytes), grouped(n.not_found), grouped(n.bad_source),
        grouped(n.failed), grouped(n.left)));
    const bool all_looked_at = end && engine.shards_done() == engine.shards_total();
    const auto unknown = named && all_looked_at && !frame.resumed() ? named->size() - n.looked_at : 0;
    if (frame.resumed()) c.out().note("other shards were looked at by the run of " + utc_text(frame.run_started_at()));
    frame.report_failures();
    if (unknown > 0) c.out().error("the snapshot lacks " + count_of(unknown, "block") + " of --only");
    if (!n.add_up()) c.out().error("the counts do not add up: this is a bug");
    if (const auto& why = engine.fatal()) c.out().error("ended early: " + why->text);
    if (engine.shards_incomplete() > 0)
        c.out().error(fmt::format("{} of {} could not be listed", engine.shards_incomplete(),
                                  count_of(engine.shards_total(), "shard")));
    if (given.dry_run && n.not_found > 0)
        c.out().note("blocks that no source lists may be in the trash: it is only looked at without --dry-run");
    c.summary = {{"id", document.id.text()},
                 {"dry_run", given.dry_run},
                 {"looked_at", n.looked_at},
                 {"present", n.present},
                 {"untrashed", n.untrashed},
                 {"copied", n.copied},
                 {"not_found", n.not_found},
                 {"bad_source", n.bad_source},
                 {"failed", n.failed},
                 {"left", n.left},
                 {"bytes", n.bytes},
                 {"not_in_snapshot", unknown},
                 {"shards", engine.shards_total()},
                 {"shards_incomplete", engine.shards_incomplete()}};
    auto code = worse(judge(engine), frame.problem());
    if (unknown > 0) code = worse(code, exit_code::some_failed);
    if (!end) code = worse(code, end.error().code);
    code = worse(code, c.run.stopped_by());
    frame.close(code);
    if (!end) co_return refuse(code, std::move(end.error().text));
    co_return code;
}

}  // namespace

outcome<exit_code> run_snapshot_restore(session& s) {
    return run_on_repository(s, restore);
}

}  // namespace keepstore::keepctl
