#include "keepctl/replicate/replication.hpp"

#include "base/event_loop_group.hpp"
#include "base/utc_text.hpp"
#include "keepctl/cluster/bandwidth.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/copy_report.hpp"
#include "keepctl/commands/hangup_signal.hpp"
#include "keepctl/commands/left_out.hpp"
#include "keepctl/commands/replicate_progress.hpp"
#include "keepctl/commands/run_frame.hpp"
#include "keepctl/replicate/postponed_blocks.hpp"

#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

bool is_of_servers(const place& p) {
    return std::holds_alternative<server_place>(p.where) || std::holds_alternative<cluster_place>(p.where);
}

class replicate_command final : public run_observer, public framed_work {
  public:
    explicit replicate_command(session& s) : session_(s), given_(s.given()), frame_(s) {}

    /// What can be decided before anything is contacted.
    outcome<void> prepare();
    exit_code run() { return frame_.execute(given_.continuous ? replicate_continuously() : replicate()); }

    void warn(std::string_view text) override { frame_.warn(text); }
    void failed(const block_failure& failure) override {
        frame_.failed(failure);
        if (given_.continuous) postponed_.failed(failure.block, failure.reason, postponed_blocks::clock::now());
    }
    std::optional<std::string> postponed(const md5_digest& block) override {
        return postponed_.reason(block, postponed_blocks::clock::now());
    }
    void shard_done(std::size_t shard) override;

    [[nodiscard]] run_figures figures() const override;
    [[nodiscard]] std::string progress_line(double seconds, bool as_json) const override;
    void stop() override { engine_->stop(); }
    [[nodiscard]] bool stopped() const override { return engine_->stopped(); }
    [[nodiscard]] std::size_t busy() const override { return engine_->busy(); }
    [[nodiscard]] bool waiting() const override { return engine_->waiting(); }

  private:
    awaitable<outcome<exit_code>> replicate();
    awaitable<outcome<exit_code>> replicate_continuously();
    awaitable<outcome<void>> connect();
    awaitable<outcome<void>> begin();
    exit_code end_pass();
    void report(exit_code code);
    [[nodiscard]] outcome<void> replicas_problem() const;
    [[nodiscard]] exit_code summarize();
    [[nodiscard]] exit_code judge() const;
    [[nodiscard]] record summary() const;

    session& session_;
    const arguments& given_;
    run_frame frame_;
    replicate_options options_;
    std::unique_ptr<block_place> source_;
    std::unique_ptr<block_place> target_;
    std::optional<replication> engine_;
    postponed_blocks postponed_;
    std::uint64_t passes_ = 0;
    std::optional<exit_code> last_pass_;
    std::vector<std::size_t> doubtful_;  // Shards that are done, of a source that has listed nothing yet.
};

outcome<void> replicate_command::prepare() {
    if (!given_.only_file.empty()) {
        KS_TRY(options_.only, read_names("--only", given_.only_file));
    }
    const bool by_servers = is_of_servers(*given_.source) && is_of_servers(*given_.target);
    const auto jobs =
        given_.jobs.value_or(by_servers ? limits::keepctl_server_jobs_default : limits::keepctl_jobs_default);
    options_.jobs = jobs_within(given_.bandwidth, jobs);
    options_.memory_bytes = given_.memory;
    options_.digest_threads = std::min(usable_processors(), limits::keepctl_digest_threads_max);
    options_.prefix = given_.prefix;
    options_.dry_run = given_.dry_run;
    options_.newest_first = given_.newest_first || given_.continuous;
    options_.verify = given_.verify;
    options_.bandwidth = given_.bandwidth;
    options_.give_up_after = given_.give_up_after;
    if (given_.since) options_.since = given_.since->time_since_epoch().count();
    if (given_.memory / 2 < jobs * limits::keepctl_job_bytes_min)
        return refuse(exit_code::usage, fmt::format("--jobs {} need at least --memory {}MiB", jobs,
                                                    2 * jobs * limits::keepctl_job_bytes_min / MiB));
    KS_TRY(source_, session_.open(*given_.source, {}));
    KS_TRY(target_,
           session_.open(*given_.target,
                         {.writes = !given_.dry_run, .classes = given_.classes, .copies = session_.copies_wanted()}));
    return frame_.open_failures();
}

// An unmounted disk lists nothing, too: a run that goes on must look at such shards again.
void replicate_command::shard_done(std::size_t shard) {
    doubtful_.push_back(shard);
    if (!engine_->source_has_entries() && !given_.allow_empty_source) return;
    for (const auto done : std::exchange(doubtful_, {})) frame_.shard_done(done);
}

// Whether the destination can hold as many replicas as it should.
outcome<void> replicate_command::replicas_problem() const {
    const auto wanted = target_->replicas_wanted();
    const auto possible = target_->replicas_possible();
    if (possible >= wanted) return {};
    if (possible == 0 && !given_.dry_run)
        return refuse(exit_code::unreachable, nowhere_to_store(*target_, given_.classes));
    return refuse(exit_code::usage, fmt::format("{}: {} replicas of a block are wanted, but its servers can hold {} "
                                                "(--replication)",
                                                target_->name(), wanted, possible));
}

awaitable<outcome<void>> replicate_command::connect() {
    const auto until = deadline::in(limits::keepctl_request_timeout);
    for (auto* const p : {source_.get(), target_.get()}) {
        auto ready = co_await p->connect(until);
        if (ready) continue;
        const auto code = ready.error() == errc::bad_request ? exit_code::usage : exit_code::unreachable;
        co_return refuse(code, fmt::format("{}: {}", p->name(), ready.error().text));
    }
    if (auto same = same_storage(*given_.source, *source_, *given_.target, *target_); !same.empty())
        co_return refuse(exit_code::usage, std::move(same));
    if (passes_ == 0) {
        const auto differences = co_await differences_of(*source_, *target_, until);
        for (const auto& what : differences) session_.out().note(what);
    }
    co_return replicas_problem();
}

// Finds out where to begin. The places are connected.
awaitable<outcome<void>> replicate_command::begin() {
    engine_.emplace(*source_, *target_, options_, *this);
    doubtful_.clear();
    if (!given_.dry_run && passes_ == 0) {
        std::string only;
        if (options_.only) {
            for (const auto& name : *options_.only) only += name.hex();
        }
        // Whatever decides which blocks are copied, and where to: a shard that is done for another choice is not done.
        auto opened = frame_.open_state({"replicate", given_.source->text, given_.target->text, devices_of(*source_),
                                         devices_of(*target_), given_.prefix, given_.classes,
                                         std::to_string(target_->replicas_wanted()), only, given_.since_text,
                                         given_.digits ? std::to_string(*given_.digits) : ""});
        if (!opened) co_return opened;
    }
    if (!frame_.resumed() || passes_ > 0) {
        auto digits = given_.digits ? result<unsigned>(*given_.digits) : co_await engine_->choose_digits();
        if (!digits) {
            const bool too_large = digits.error() == errc::bad_request;
            co_return refuse(too_large ? exit_code::usage : exit_code::unreachable, digits.error().text);
        }
        frame_.begin(*digits);
    }
    co_return outcome<void>();
}

awaitable<outcome<exit_code>> replicate_command::replicate() {
    KS_CO_CHECK(co_await connect());
    KS_CO_CHECK(co_await begin());
    co_await frame_.run(*this, engine_->run(frame_.done()));
    co_return summarize();
}

// Pass after pass, until a signal comes. Places that cannot be used end the first pass only.
awaitable<outcome<exit_code>> replicate_command::replicate_continuously() {
    hangup_signal hangup(co_await asio::this_coro::executor);
    while (session_.stopped_by() == exit_code::done) {
        hangup.forget();
        auto ready = co_await connect();
        if (ready) ready = co_await begin();
        if (!ready && passes_ == 0) co_return std::unexpected(std::move(ready.error()));
        if (passes_ == 0) frame_.serve("the first pass");
        exit_code code = exit_code::not_finished;
        if (!ready) {
            session_.out().error(ready.error().text);
        } else {
            co_await frame_.run(*this, engine_->run(frame_.done()));
            if (session_.stopped_by() != exit_code::done) {
                frame_.clear();
                session_.out().say(outcome_sentence(engine_->counts(), false));
                report(session_.stopped_by());
                frame_.close(session_.stopped_by());
                break;
            }
            code = end_pass();
        }
        ++passes_;
        last_pass_ = code;
        session_.set_code_at_signal(code);
        if (session_.out().broken()) co_return exit_code::not_finished;
        const bool good = code == exit_code::done || code == exit_code::no_change;
        if (given_.exit_on_failure && !good) break;
        frame_.serve(fmt::format("pass {} has ended with {}: {}", passes_, static_cast<int>(code),
                                 outcome_sentence(engine_->counts(), false)));
        if (!co_await frame_.idle(given_.interval, hangup.has_come())) break;
        KS_CO_CHECK(frame_.open_failures());
    }
    const auto code = last_pass_.value_or(session_.stopped_by());
    co_return session_.out().end(code, summary());
}

exit_code replicate_command::end_pass() {
    frame_.clear();
    const auto code = judge();
    const auto& c = engine_->counts();
    // Most passes find nothing: they are no lines in a journal.
    const bool changed = c.stored() + c.not_stored() > 0 || last_pass_ != code;
    if (session_.out().shape() == output_shape::json)
        session_.out().add("pass", summary());
    else if (changed)
        session_.out().say(outcome_sentence(c, false));
    if (changed) report(code);
    const bool looked_at_all = code == exit_code::done || code == exit_code::some_failed;
    if (looked_at_all) postponed_.end_pass();
    frame_.end_pass(code);
    return code;
}

run_figures replicate_command::figures() const {
    const auto& c = engine_->counts();
    return {.blocks = c.by_name(),
            .bytes = c.bytes,
            .shards_done = engine_->shards_done(),
            .shards_total = engine_->shards_total(),
            .shards_incomplete = engine_->shards_incomplete()};
}

std::string replicate_command::progress_line(double seconds, bool as_json) const {
    const replicate_progress now{.counts = engine_->counts(),
                                 .shards_done = engine_->shards_done(),
                                 .shards_before = frame_.done_before(),
                                 .shards_total = engine_->shards_total(),
                                 .all_planned = engine_->all_planned(),
                                 .seconds = seconds};
    return as_json ? to_json(now) : to_line(now);
}

record replicate_command::summary() const {
    const auto& c = engine_->counts();
    record out{{"dry_run", given_.dry_run}};
    add_outcomes(out, c);
    out.insert(out.end(), {{"verify_missing", c.verify_missing},
                           {"shards", engine_->shards_total()},
                           {"shards_done", engine_->shards_done()},
                           {"shards_incomplete", engine_->shards_incomplete()}});
    add_left_out(out, c.left_out);
    return out;
}

exit_code replicate_command::judge() const {
    const auto& c = engine_->counts();
    auto code =
        worse(frame_.problem(), code_of(c, {.fatal = engine_->fatal(), .complete = engine_->shards_incomplete() == 0}));
    if (c.not_stored() + c.verify_missing > 0) code = worse(code, exit_code::some_failed);
    if (code == exit_code::done && !engine_->source_has_entries() && !given_.allow_empty_source && !frame_.resumed())
        code = exit_code::refused;
    if (code == exit_code::done && given_.error_on_no_change && c.stored() == 0) code = exit_code::no_change;
    return worse(code, session_.stopped_by());
}

// What is wrong, on stderr.
void replicate_command::report(exit_code code) {
    auto& out = session_.out();
    const auto& c = engine_->counts();
    frame_.report_failures();
    note_left_out(out, c.left_out);
    if (c.verify_missing > 0)
        out.error(fmt::format("the destination's index lacks {}", count_of(c.verify_missing, "block")));
    report_end(out, c, engine_->fatal());
    if (engine_->shards_incomplete() > 0)
        out.error(fmt::format("{} of {} could not be listed", engine_->shards_incomplete(),
                              count_of(engine_->shards_total(), "shard")));
    if (code == exit_code::refused)
        out.error("the source lists no block at all, as an unmounted disk does; --allow-empty-source if that is right");
}

exit_code replicate_command::summarize() {
    frame_.clear();
    auto& out = session_.out();
    const auto code = judge();
    out.say(outcome_sentence(engine_->counts(), given_.dry_run));
    if (frame_.resumed()) out.note("other shards were looked at by the run of " + utc_text(frame_.run_started_at()));
    report(code);
    frame_.close(code);
    return out.end(code, summary());
}

}  // namespace

outcome<exit_code> run_replicate(session& s) {
    replicate_command command(s);
    KS_CHECK(command.prepare());
    return command.run();
}

}  // namespace keepstore::keepctl
