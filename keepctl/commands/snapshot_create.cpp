#include "keepctl/snapshot/create.hpp"

#include "keepctl/cluster/checkpoint.hpp"
#include "keepctl/cluster/local_file.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/left_out.hpp"
#include "keepctl/commands/progress.hpp"
#include "keepctl/commands/run_frame.hpp"
#include "keepctl/commands/snapshot_context.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::keepctl {
namespace {

/// The creation, as the frame of a long run sees it.
class create_work final : public framed_work {
  public:
    explicit create_work(snapshot_creation& creation) : creation_(creation) {}

    [[nodiscard]] run_figures figures() const override {
        const auto& p = creation_.progress();
        return {.blocks = {{"listed", p.totals.blocks}},
                .bytes = 0,
                .shards_done = p.shards_done,
                .shards_total = p.shards,
                .shards_incomplete = 0};
    }
    [[nodiscard]] std::string progress_line(double seconds, bool as_json) const override {
        const auto& p = creation_.progress();
        if (as_json)
            return fmt::format(
                R"({{"v":1,"type":"progress","shards_done":{},"shards":{},"blocks":{},"replicas":{},"bytes":{}}})",
                p.shards_done, p.shards, p.totals.blocks, p.totals.replicas, p.totals.bytes);
        return fmt::format("snapshot create  shard {}/{}  {} replicas  {}  {:.0f}/s", p.shards_done, p.shards,
                           grouped(p.totals.replicas), short_bytes(p.totals.bytes),
                           static_cast<double>(p.totals.replicas) / seconds);
    }
    void stop() override { stopped_ = true; }
    [[nodiscard]] bool stopped() const override { return stopped_; }
    // Nothing to wait for: the creation cleans up when it is cancelled.
    [[nodiscard]] std::size_t busy() const override { return 0; }

  private:
    snapshot_creation& creation_;
    bool stopped_ = false;
};

/// One create at a time per host and repository.
outcome<unique_fd> lock_repository(const snapshot_context& c) {
    const auto folder = state_folder_of(c.given()) + "/locks";
    if (auto made = make_folder(folder); !made)
        return refuse(exit_code::usage, "state folder: " + made.error().text + " (--state-dir)");
    auto lock = lock_file(fmt::format("{}/snapshot-{}", folder, c.repo.identity().repository));
    if (lock) return std::move(*lock);
    if (lock.error() == errc::unavailable)
        return refuse(exit_code::conflict, "another create of this repository runs on this host");
    return refuse(exit_code::usage, "state folder: " + lock.error().text + " (--state-dir)");
}

awaitable<outcome<exit_code>> create(snapshot_context& c, run_frame& frame) {
    const auto& given = c.given();
    const place scope = given.at ? *given.at : *parse_place("cluster");
    KS_CO_TRY(const auto locked, lock_repository(c));
    KS_CO_CHECK(c.check_cluster());
    KS_CO_CHECK(co_await c.repo.prove_swap());
    KS_CO_CHECK(co_await c.repo.set_clock());
    KS_CO_TRY(auto from, co_await c.connected(scope, {}));
    snapshot_creation creation(c.repo, *from,
                               {.scope = scope.text,
                                .digits = given.digits,
                                .allow_empty_source = given.allow_empty_source,
                                .allow_missing = {c.asked().allow_missing.begin(), c.asked().allow_missing.end()},
                                .time_max = c.asked().time_max,
                                .note = [&frame](std::string_view text) { frame.warn(text); }});
    create_work work(creation);
    outcome<listed_snapshot> listed = refuse(exit_code::interrupted, "interrupted");
    // The frame cancels by way of the session, so the creation is awaited on the coroutine of the command.
    co_await frame.run(work, [](snapshot_creation& what, outcome<listed_snapshot>& end) -> awaitable<void> {
        end = co_await what.run();
    }(creation, listed));
    frame.clear();
    const auto& p = creation.progress();
    c.summary = {{"shards", p.shards},
                 {"blocks", p.totals.blocks},
                 {"replicas", p.totals.replicas},
                 {"bytes", p.totals.bytes},
                 {"stored_bytes", p.totals.stored_bytes}};
    add_left_out(c.summary, p.left_out);
    frame.close(listed ? exit_code::done : listed.error().code);
    if (!listed) co_return std::unexpected(std::move(listed.error()));
    note_left_out(c.out(), p.left_out);
    c.out().say(fmt::format("snapshot {}: {}, {}, {}", listed->id.text(), count_of(p.totals.blocks, "block"),
                            count_of(p.totals.replicas, "replica"), short_bytes(p.totals.bytes)));
    c.summary.insert(c.summary.begin(), {{"id", listed->id.text()}, {"sequence", listed->sequence}});
    co_return exit_code::done;
}

}  // namespace

outcome<exit_code> run_snapshot_create(session& s) {
    return run_on_repository(s, create);
}

}  // namespace keepstore::keepctl
