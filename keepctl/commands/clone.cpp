#include "keepctl/clone/cloning.hpp"

#include "base/event_loop_group.hpp"
#include "base/utc_text.hpp"
#include "keepctl/clone/survey.hpp"
#include "keepctl/cluster/local_file.hpp"
#include "keepctl/commands/clone_job.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/copy_report.hpp"
#include "keepctl/commands/replicate_progress.hpp"
#include "keepctl/commands/run_frame.hpp"
#include "protocol/random_token.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

class clone_command final : public clone_observer, public framed_work {
  public:
    explicit clone_command(session& s) : session_(s), given_(s.given()), frame_(s) {}

    /// What can be decided before anything is contacted.
    outcome<void> prepare();
    exit_code run() { return frame_.execute(clone()); }

    void note(std::string_view text) override { frame_.note(text); }
    void warn(std::string_view text) override { frame_.warn(text); }
    void failed(const block_failure& failure) override { frame_.failed(failure); }

    [[nodiscard]] run_figures figures() const override;
    [[nodiscard]] std::string progress_line(double seconds, bool as_json) const override;
    void stop() override { engine_->stop(); }
    [[nodiscard]] bool stopped() const override { return engine_->stopped(); }
    [[nodiscard]] std::size_t busy() const override { return engine_->busy(); }

  private:
    using started = outcome<void>;
    awaitable<outcome<exit_code>> clone();
    awaitable<started> begin();
    awaitable<started> join_job();
    started open_sides(const place& source, const place& target);
    awaitable<started> look_at_buckets();
    awaitable<started> open_job();
    started open_job_folder();
    awaitable<outcome<clone_job>> choose_job(deadline until);
    [[nodiscard]] clone_counts totals() const { return result_ ? result_->counts : engine_->counts(); }
    [[nodiscard]] exit_code summarize();
    [[nodiscard]] exit_code judge() const;
    [[nodiscard]] record summary() const;

    session& session_;
    const arguments& given_;
    run_frame frame_;
    clone_options options_;
    unsigned digits_ = 0;
    std::unique_ptr<clone_bucket> source_;
    std::unique_ptr<clone_bucket> target_;
    unique_fd lock_;  // Of the default job folder.
    std::unique_ptr<job_store> store_;
    std::optional<segment_board> board_;
    std::optional<cloning> engine_;
    std::optional<job_result> result_;
    bool new_job_ = false;
    std::size_t done_before_ = 0;
    std::string problem_;  // Of the end of the job.
};

clone_command::started clone_command::prepare() {
    const bool joins = !given_.join_job.empty();
    if (joins == (given_.source && given_.target) || joins == given_.source.has_value()) {
        return refuse(exit_code::usage,
                      "clone takes SOURCE and DESTINATION, or --worker JOB alone, or: clone status JOB");
    }
    options_.jobs = given_.jobs;
    options_.dry_run = given_.dry_run;
    options_.trash = given_.with_trash;
    options_.give_up_after = given_.give_up_after;
    options_.copier = {.mode = parse_mode(given_.mode).value_or(clone_mode::automatic),
                       .proof = parse_proof(given_.proof).value_or(clone_proof::etag),
                       .memory_bytes = given_.memory,
                       .digest_threads = std::min(usable_processors(), limits::keepctl_digest_threads_max),
                       .bandwidth = given_.bandwidth};
    if (joins && given_.dry_run) return refuse(exit_code::usage, "a worker has no --dry-run");
    return frame_.open_failures();
}

clone_command::started clone_command::open_sides(const place& source, const place& target) {
    KS_TRY(auto from, open_side(session_, source, false));
    KS_TRY(auto to, open_side(session_, target, !given_.dry_run));
    if (options_.trash && !(from->has_markers && to->has_markers))
        return refuse(exit_code::usage,
                      "--trash is for buckets of S3 only: in a container of Azure the trash is a mark on each blob");
    if (same_bucket(*from, *to))
        return refuse(exit_code::usage, fmt::format("{} and {} are the same bucket", source.text, target.text));
    source_ = std::move(from);
    target_ = std::move(to);
    return {};
}

// Takes places and options from a job that is there.
awaitable<clone_command::started> clone_command::join_job() {
    KS_CO_TRY(store_, open_job_store(session_, given_.join_job, false));
    KS_CO_TRY(auto job, co_await read_job(*store_, deadline::in(limits::keepctl_request_timeout)));
    if (!job)
        co_return refuse(exit_code::usage,
                         fmt::format("{}: there is no job; clone SOURCE DESTINATION --job {} begins one",
                                     store_->where(), store_->where()));
    const auto source = parse_place(job->source);
    const auto target = parse_place(job->destination);
    if (!source || !target)
        co_return refuse(exit_code::usage, store_->where() + ": the job's places are of another version of clone");
    options_.trash = job->trash;
    options_.copier.mode = job->mode;
    options_.copier.proof = job->proof;
    co_return open_sides(*source, *target);
}

// Whether both buckets can be used, and how the work is cut.
awaitable<clone_command::started> clone_command::look_at_buckets() {
    const auto until = deadline::in(limits::listing_silence_max);
    const auto unreachable = [](const clone_bucket& of, const error& why) {
        const auto code = why == errc::bad_request ? exit_code::usage : exit_code::unreachable;
        return refuse(code, fmt::format("{}: {}", of.text, why.text));
    };
    auto seen = co_await look_at(*source_, *target_, options_.trash, until);
    if (!seen) co_return unreachable(*source_, seen.error());
    const auto& blocks = seen->source_has_blocks;
    if (!blocks) co_return unreachable(*source_, blocks.error());
    if (!seen->target_is_empty) co_return unreachable(*target_, seen->target_is_empty.error());
    options_.target_is_empty = *seen->target_is_empty;
    if (!*blocks && !given_.allow_empty_source) {
        co_return refuse(exit_code::refused, fmt::format("{} has no block at all, as a wrong bucket or prefix-length "
                                                         "looks like; --allow-empty-source if that is right",
                                                         source_->text));
    }
    if (!seen->digits) co_return unreachable(*source_, seen->digits.error());
    digits_ = given_.digits.value_or(*seen->digits);
    options_.count_foreign = given_.join_job.empty();
    co_return started();
}

// The place of the job: that of --job, or one of the state folder, which no other run uses at the same time.
clone_command::started clone_command::open_job_folder() {
    if (!given_.job.empty()) {
        KS_TRY(store_, open_job_store(session_, given_.job, true));
        return {};
    }
    const auto state = state_folder_of(given_);
    const auto name =
        fingerprint_of({"clone", source_->text, target_->text, options_.trash ? "trash" : "",
                        std::string(to_string(options_.copier.proof)), given_.digits ? std::to_string(digits_) : ""});
    if (auto made = make_folder(state + "/locks"); !made)
        return refuse(exit_code::usage, "state folder: " + made.error().text + " (--state-dir)");
    auto lock = lock_file(fmt::format("{}/locks/{}", state, name));
    if (!lock) {
        const bool active = lock.error() == errc::unavailable;
        return refuse(active ? exit_code::conflict : exit_code::usage,
                      (active ? "the same command is running already: " : "state folder: ") + lock.error().text);
    }
    lock_ = std::move(*lock);
    KS_TRY(store_, open_job_store(session_, fmt::format("{}/clone/{}", state, name), true));
    return {};
}

// The job to go on with, or a new one.
awaitable<outcome<clone_job>> clone_command::choose_job(deadline until) {
    clone_job mine{.id = protocol::random_token().substr(0, 16),
                   .source = source_->text,
                   .destination = target_->text,
                   .mode = options_.copier.mode,
                   .digits = digits_,
                   .created_at = clone_time_now(),
                   .trash = options_.trash,
                   .proof = options_.copier.proof};
    auto there = co_await read_job(*store_, until);
    const bool own = static_cast<bool>(lock_);
    if (!there && !(own && there.error().code == exit_code::usage)) co_return std::unexpected(std::move(there.error()));
    if (there && *there && !given_.fresh) {
        auto job = std::move(**there);
        if (!job.same_work(mine))
            co_return refuse(
                exit_code::usage,
                fmt::format("{} is the job of another clone, from {} to {}{} with --verify {}; name another place for "
                            "this one, or --fresh",
                            store_->where(), job.source, job.destination, job.trash ? " with --trash," : "",
                            to_string(job.proof)));
        const auto result = co_await store_->read(std::string(result_file), until);
        const auto finished = result && *result ? decode_result((*result)->text) : std::nullopt;
        const bool over =
            finished && finished->job == job.id && finished->counts.failed + finished->counts.bad_source == 0;
        if (over && !own)
            co_return refuse(exit_code::usage,
                             fmt::format("the job {} has been finished; name another place for a new one, or "
                                         "--fresh",
                                         store_->where()));
        const bool old = own && clone_time_now() - job.created_at > limits::checkpoint_age_max;
        if (old)
            note(fmt::format("ignoring the job of {}: it began more than {} days ago", utc_text(job.created_at),
                             limits::checkpoint_age_max.count()));
        if (!over && !old) co_return job;
    }
    auto written =
        co_await put_file(*store_, std::string(job_file), encode(mine), [](std::string_view) { return false; }, until);
    if (!written) co_return refuse(exit_code::usage, fmt::format("{}: {}", store_->where(), written.error().text));
    new_job_ = true;
    co_return mine;
}

awaitable<clone_command::started> clone_command::open_job() {
    const auto until = deadline::in(limits::listing_silence_max);
    if (given_.dry_run) {
        board_.emplace(nullptr, clone_job{.digits = digits_}, segment_board::options{});
        co_return started();
    }
    if (!store_) {
        if (auto opened = open_job_folder(); !opened) co_return opened;
    }
    outcome<clone_job> job = clone_job{};
    if (given_.join_job.empty()) {
        job = co_await choose_job(until);
    } else {
        auto there = co_await read_job(*store_, until);
        if (!there || !*there) co_return refuse(exit_code::unreachable, "the job is gone");
        job = std::move(**there);
    }
    if (!job) co_return std::unexpected(std::move(job.error()));
    board_.emplace(store_.get(), std::move(*job),
                   segment_board::options{
                       .worker = worker_name(), .claim_time = given_.claim_time, .alone = static_cast<bool>(lock_)});
    if (new_job_) co_return started();
    const auto done = co_await board_->load(deadline::in(limits::listing_time_max));
    if (!done) co_return refuse(exit_code::unreachable, fmt::format("{}: {}", store_->where(), done.error().text));
    done_before_ = *done;
    if (done_before_ > 0) {
        // Somewhere else blocks may have been written since.
        options_.target_is_empty = false;
        note(fmt::format("going on with the job of {}: {} of {} done (--fresh begins anew)",
                         utc_text(board_->job().created_at), done_before_, count_of(board_->segments(), "segment")));
    }
    co_return started();
}

awaitable<clone_command::started> clone_command::begin() {
    auto opened = given_.join_job.empty() ? open_sides(*given_.source, *given_.target) : co_await join_job();
    if (!opened) co_return opened;
    KS_CO_CHECK(co_await look_at_buckets());
    KS_CO_CHECK(co_await open_job());
    engine_.emplace(*source_, *target_, options_, *board_, *this);
    co_return started();
}

awaitable<outcome<exit_code>> clone_command::clone() {
    KS_CO_CHECK(co_await begin());
    co_await frame_.run(*this, engine_->run());
    if (!engine_->stopped()) {
        auto result = co_await board_->finish(deadline::in(limits::keepctl_block_timeout));
        if (result)
            result_ = std::move(*result);
        else
            problem_ = result.error().text;
    }
    co_return summarize();
}

run_figures clone_command::figures() const {
    const auto& c = engine_->counts();
    return {.blocks = c.by_name(),
            .bytes = c.bytes,
            .shards_done = board_->done(),
            .shards_total = board_->segments(),
            .shards_incomplete = engine_->incomplete()};
}

std::string clone_command::progress_line(double seconds, bool as_json) const {
    const auto& c = engine_->counts();
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(c.bytes) / seconds);
    const auto left = seconds_for_rest(board_->done(), done_before_, board_->segments(), seconds);
    if (as_json) {
        return fmt::format(
            R"({{"v":1,"type":"progress","shards_done":{},"shards":{},"listed":{},"copied":{},"bytes":{},"failed":{},)"
            R"("eta_seconds":{}}})",
            board_->done(), board_->segments(), c.listed, c.copied + c.replaced, c.bytes, c.failed + c.bad_source,
            left ? std::to_string(static_cast<std::uint64_t>(*left) + 1) : std::string("null"));
    }
    return fmt::format("clone  segment {}/{}  {}%  {} looked at  {} copied {}  {} failed  {}/s  {} at a time{}",
                       board_->done(), board_->segments(), 100 * board_->done() / board_->segments(), grouped(c.listed),
                       grouped(c.copied + c.replaced), short_bytes(c.bytes), grouped(c.failed + c.bad_source),
                       short_bytes(rate), engine_->requests_at_a_time(), left ? "  ETA " + short_time(*left) : "");
}

record clone_command::summary() const {
    const auto& c = engine_->counts();
    const auto all = totals();
    record out{{"dry_run", given_.dry_run},
               {"mode", to_string(engine_->mode())},
               {"job", store_ ? cell(store_->where()) : cell()}};
    add_outcomes(out, c);
    out.insert(out.end(), {{"read_to_verify", c.read_to_verify},
                           {"foreign", c.foreign},
                           {"segments", board_->segments()},
                           {"segments_done", board_->done()},
                           {"segments_incomplete", engine_->incomplete()},
                           {"job_listed", all.listed},
                           {"job_copied", all.stored()},
                           {"job_failed", all.not_stored()}});
    return out;
}

exit_code clone_command::judge() const {
    const auto& c = engine_->counts();
    const auto all = totals();
    auto code =
        worse(frame_.problem(), code_of(c, {.fatal = engine_->fatal(),
                                            .complete = engine_->incomplete() == 0 && (result_ || given_.dry_run),
                                            .went_on = done_before_ > 0}));
    if (all.not_stored() > 0) code = worse(code, exit_code::some_failed);
    if (code == exit_code::done && given_.error_on_no_change && c.stored() == 0) code = exit_code::no_change;
    return worse(code, session_.stopped_by());
}

exit_code clone_command::summarize() {
    frame_.clear();
    auto& out = session_.out();
    const auto code = judge();
    const auto& c = engine_->counts();
    out.say(outcome_sentence(c, given_.dry_run));
    if (const auto all = totals(); result_ && all.listed != c.listed)
        out.note(fmt::format("the job as a whole: {} looked at, {} copied, {} failed", count_of(all.listed, "block"),
                             grouped(all.stored()), grouped(all.not_stored())));
    if (c.read_to_verify > 0) out.note(count_of(c.read_to_verify, "read") + " of objects that no ETag proves");
    if (c.foreign > 0) out.note(count_of(c.foreign, "object") + " of the source left out: no blocks");
    if (options_.trash && !given_.dry_run)
        out.note(
            "what was copied into the trash has the time of the copy, and its marker too: keepstores take that for "
            "a block trashed by mistake and bring it back");
    frame_.report_failures();
    report_end(out, c, engine_->fatal());
    if (!problem_.empty()) out.error("the result of the job could not be written: " + problem_);
    if (engine_->incomplete() > 0)
        out.error(fmt::format("{} of {} could not be listed", engine_->incomplete(),
                              count_of(board_->segments(), "segment")));
    const bool finished = code == exit_code::done || code == exit_code::some_failed || code == exit_code::no_change;
    if (!finished && !given_.dry_run) out.note("to go on: " + command_to_go_on(given_));
    frame_.close(code);
    return out.end(code, summary());
}

}  // namespace

outcome<exit_code> run_clone(session& s) {
    if (s.given().action == "status") return run_clone_status(s);
    clone_command command(s);
    KS_CHECK(command.prepare());
    return command.run();
}

}  // namespace keepstore::keepctl
