#include "base/event_loop_group.hpp"
#include "keepctl/balance/run.hpp"
#include "keepctl/commands/balance_input.hpp"
#include "keepctl/commands/balance_report.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/hangup_signal.hpp"
#include "keepctl/commands/run_frame.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

namespace keepstore::keepctl {
namespace {

using balance::apply_level;

class balance_command final : public balance::run_reports, public framed_work {
  public:
    explicit balance_command(session& s) : session_(s), given_(s.given()), frame_(s), input_(s) {}

    [[nodiscard]] outcome<void> prepare() { return input_.prepare(); }
    exit_code execute() { return frame_.execute(given_.balance.every ? serve() : once()); }

    void warn(std::string_view text) override { frame_.warn(text); }
    void lost(block_id block) override {
        if (lost_file_) (void)lost_file_->write(block.name.hex() + " " + std::to_string(block.size) + "\n");
    }
    [[nodiscard]] run_figures figures() const override;
    [[nodiscard]] std::string progress_line(double seconds, bool as_json) const override;
    void stop() override { engine_->stop(); }
    [[nodiscard]] bool stopped() const override { return engine_->stopped(); }
    [[nodiscard]] std::size_t busy() const override { return 0; }
    [[nodiscard]] bool waiting() const override { return waiting_; }

  private:
    awaitable<outcome<exit_code>> serve();
    awaitable<outcome<exit_code>> once();
    awaitable<void> plan_and_send();
    [[nodiscard]] exit_code judge() const;
    [[nodiscard]] exit_code summarize();
    [[nodiscard]] std::string sentence() const;
    void write_files();

    session& session_;
    const arguments& given_;
    run_frame frame_;
    balance_input input_;
    std::optional<balance::run> engine_;
    std::optional<replacement_file> lost_file_;
    std::string last_metrics_;
    bool files_lost_ = false;
    bool waiting_ = false;  // For the servers to work off their lists.
};

// Run after run, until a signal comes; SIGHUP begins one at once. Files that are wrong end the first run only.
awaitable<outcome<exit_code>> balance_command::serve() {
    hangup_signal hangup(co_await asio::this_coro::executor);
    frame_.serve("the first run");
    for (std::uint64_t runs = 1;; ++runs) {
        hangup.forget();
        const auto began = std::chrono::steady_clock::now();
        const auto end = co_await once();
        const auto code = end ? *end : session_.end_with(end.error());
        if (session_.stopped_by() != exit_code::done || (runs == 1 && code == exit_code::usage)) co_return code;
        session_.set_code_at_signal(code);
        frame_.serve(fmt::format("run {} has ended with {}{}", runs, static_cast<int>(code), sentence()));
        const auto left = *given_.balance.every - (std::chrono::steady_clock::now() - began);
        if (!co_await frame_.idle(left, hangup.has_come())) co_return code;
    }
}

awaitable<outcome<exit_code>> balance_command::once() {
    engine_.reset();
    files_lost_ = false;
    KS_CO_CHECK(co_await input_.refresh());
    if (const auto path = input_.lost_file(); !path.empty()) {
        const auto* const option = given_.balance.lost_file.empty() ? "BlobMissingReport" : "--lost";
        auto opened = replacement_file::open(path);
        if (!opened) co_return refuse(exit_code::usage, fmt::format("{}: {}", option, opened.error().text));
        lost_file_.emplace(std::move(*opened));
    }
    engine_.emplace(input_.get(),
                    balance::run_options{.apply = given_.balance.apply,
                                         .prefix = given_.prefix,
                                         .digits = given_.digits,
                                         .moves = given_.balance.moves,
                                         .take_over = given_.balance.take_over,
                                         .verify_kept = given_.balance.verify_kept,
                                         .jobs = given_.jobs.value_or(limits::keepctl_jobs_default),
                                         .compare_pulls = given_.balance.wait.has_value(),
                                         .first_shard = std::random_device{}(),
                                         .threads = std::min(usable_processors(), limits::balance_threads_max)},
                    *this);
    co_await frame_.run(*this, plan_and_send());
    co_return summarize();
}

awaitable<void> balance_command::plan_and_send() {
    co_await engine_->execute();
    if (!given_.balance.wait || !engine_->pulls_sent() || engine_->stopped()) co_return;
    waiting_ = true;
    co_await engine_->wait_for_lists(deadline::in(*given_.balance.wait));
    waiting_ = false;
}

run_figures balance_command::figures() const {
    run_figures out{.shards_done = engine_->shards_done(),
                    .shards_total = engine_->shards_total(),
                    .shards_incomplete = engine_->shards_incomplete()};
    out.blocks = {{"looked_at", engine_->blocks_decided()}};
    if (const auto* const proofs = engine_->proofs()) out.blocks.emplace_back("proven", proofs->proven());
    // While a plan is made the figures of the one before stay.
    out.more = engine_->plan() ? metrics_of(*engine_, input_.references()) : last_metrics_;
    return out;
}

std::string balance_command::progress_line(double, bool as_json) const {
    const auto blocks = engine_->blocks_decided();
    if (as_json) {
        return fmt::format(R"({{"v":1,"type":"progress","shards_done":{},"shards":{},"blocks":{}}})",
                           engine_->shards_done(), engine_->shards_total(), blocks);
    }
    return fmt::format("balance  shard {}/{}  {} looked at", engine_->shards_done(), engine_->shards_total(),
                       grouped(blocks));
}

// For the status line: what the last run did.
std::string balance_command::sentence() const {
    if (!engine_ || !engine_->plan()) return ": no plan was made";
    std::size_t pulls = 0;
    std::size_t trashes = 0;
    for (const auto& list : engine_->pulls()) pulls += list.size();
    for (const auto& list : engine_->trashes()) trashes += list.size();
    return fmt::format(": {} blocks, {} pulls{}, {} trashes{}, {} lost", grouped(engine_->blocks_decided()),
                       grouped(pulls), engine_->pulls_sent() ? "" : " (not sent)", grouped(trashes),
                       engine_->trashes_sent() ? "" : " (not sent)", engine_->plan()->counts().lost.blocks);
}

exit_code balance_command::judge() const {
    auto code = frame_.problem();
    for (const auto& f : engine_->failures()) code = worse(code, f.code);
    for (const auto& p : engine_->problems()) {
        if (p.stops || given_.balance.apply == apply_level::all) code = worse(code, exit_code::refused);
    }
    if (files_lost_ || (engine_->plan() && engine_->shards_done() < engine_->shards_total()))
        code = worse(code, exit_code::not_finished);
    if (engine_->plan() && engine_->plan()->counts().lost.blocks > 0) code = worse(code, exit_code::some_failed);
    return worse(code, session_.stopped_by());
}

void balance_command::write_files() {
    const auto check = [&](std::string_view option, const result<void>& written) {
        if (written) return;
        files_lost_ = true;
        session_.out().error(fmt::format("{}: {}", option, written.error().text));
    };
    const bool whole = engine_->plan() && engine_->shards_done() == engine_->shards_total();
    if (lost_file_ && whole) check("the list of lost blocks", lost_file_->commit());
    lost_file_.reset();
    if (given_.balance.changes_file.empty() || !whole) return;
    auto file = replacement_file::open(given_.balance.changes_file);
    if (!file) return check("--changes", std::unexpected(file.error()));
    auto written = write_changes(*engine_, *file);
    check("--changes", written ? file->commit() : written);
}

exit_code balance_command::summarize() {
    frame_.clear();
    auto& out = session_.out();
    write_files();
    const auto code = judge();
    const auto apply = given_.balance.apply;
    if (engine_->plan() && engine_->shards_done() == engine_->shards_total()) report_plan(out, *engine_);
    for (const auto& f : engine_->failures()) out.error(f.text);
    for (const auto& p : engine_->problems()) {
        const auto option = p.option.empty() ? std::string() : fmt::format(" ({} if that is right)", p.option);
        if (p.stops)
            out.error(fmt::format("refused, nothing is sent: {}{}", p.text, option));
        else if (apply == apply_level::all)
            out.error(fmt::format("no trash list is sent: {}{}", p.text, option));
        else
            out.warn(fmt::format("--apply all would send no trash list: {}{}", p.text, option));
    }
    if (engine_->plan() && engine_->plan()->counts().lost.blocks > 0)
        out.error(fmt::format("{} wanted without any copy{}", count_of(engine_->plan()->counts().lost.blocks, "block"),
                              input_.lost_file().empty() ? "; --lost FILE lists them" : ""));
    if (engine_->too_large() > 0)
        out.note(count_of(engine_->too_large(), "entry") + " over 64 MiB, no blocks, left out");
    if (apply == apply_level::nothing && code == exit_code::done)
        out.note("this is a plan; --apply pulls or --apply all carries it out");
    frame_.close(code);
    last_metrics_ = metrics_of(*engine_, input_.references());
    return out.end(code, summary_of(*engine_));
}

}  // namespace

outcome<exit_code> run_balance(session& s) {
    balance_command command(s);
    KS_CHECK(command.prepare());
    return command.execute();
}

}  // namespace keepstore::keepctl
