#include "keepctl/replicate/replication.hpp"

#include "base/event_loop_group.hpp"
#include "keepctl/cluster/checkpoint.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/failure_file.hpp"
#include "keepctl/commands/metrics_file.hpp"
#include "keepctl/commands/progress.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace keepstore::keepctl {
namespace {

std::string state_folder_of(const arguments& a) {
    if (!a.state_folder.empty()) return a.state_folder;
    const auto variable = [](const char* name) {
        const char* const value = std::getenv(name);
        return std::string(value ? value : "");
    };
    if (const auto given = variable("STATE_DIRECTORY"); !given.empty()) return given;
    if (::geteuid() == 0) return "/var/lib/keepctl";
    if (const auto home = variable("XDG_STATE_HOME"); !home.empty()) return home + "/keepctl";
    return variable("HOME") + "/.local/state/keepctl";
}

class replicate_command final : public run_observer {
  public:
    explicit replicate_command(session& s)
        : session_(s),
          given_(s.given()),
          progress_(given_.progress, given_.quiet),
          failures_(given_.failures_file),
          metrics_(given_.metrics_path) {}

    /// What can be decided before anything is contacted.
    std::expected<void, start_error> prepare();
    exit_code run();

    void warn(std::string_view text) override {
        progress_.clear();
        session_.out().warn(text);
    }
    void failed(const block_failure& failure) override {
        if (failures_.add(failure)) return;
        warn("the failures file cannot be written: " + failures_.problem());
    }
    void shard_done(std::size_t shard) override {
        if (!saved_) return;
        saved_->done.insert(shard);
        unsaved_ = true;
    }

  private:
    awaitable<exit_code> replicate();
    awaitable<std::optional<start_error>> begin();
    static awaitable<void> watch(replicate_command* self, std::shared_ptr<bool> over);
    void save(bool now);
    void write_metrics(std::optional<exit_code> code);
    [[nodiscard]] exit_code summarize();
    [[nodiscard]] exit_code judge() const;
    [[nodiscard]] std::string progress_line() const;
    [[nodiscard]] record figures() const;
    void report_failures();

    session& session_;
    const arguments& given_;
    progress progress_;
    failure_file failures_;
    const metrics_file metrics_;
    progress::clock::time_point metrics_due_{};
    const std::chrono::sys_seconds started_at_ =
        std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    replicate_options options_;
    std::unique_ptr<block_place> source_;
    std::unique_ptr<block_place> target_;
    std::optional<replication> engine_;
    std::optional<checkpoint> checkpoint_;
    std::optional<saved_run> saved_;
    bool unsaved_ = false;
    bool resumed_ = false;
    bool state_lost_ = false;
    bool metrics_lost_ = false;
    progress::clock::time_point began_ = progress::clock::now();
    progress::clock::time_point saved_at_{};
    std::optional<progress::clock::time_point> stop_at_;
};

std::expected<void, start_error> replicate_command::prepare() {
    if (!given_.only_file.empty()) {
        auto names = read_names("--only", given_.only_file);
        if (!names) return std::unexpected(std::move(names.error()));
        options_.only = std::move(*names);
    }
    options_.jobs = given_.jobs;
    options_.memory_bytes = given_.memory;
    options_.digest_threads = std::min(usable_processors(), limits::keepctl_digest_threads_max);
    options_.prefix = given_.prefix;
    options_.dry_run = given_.dry_run;
    options_.give_up_after = given_.give_up_after;
    if (given_.since) options_.since = given_.since->time_since_epoch().count();
    if (given_.memory / 2 < given_.jobs * limits::keepctl_job_bytes_min)
        return std::unexpected(
            start_error{exit_code::usage, fmt::format("--jobs {} need at least --memory {}MiB", given_.jobs,
                                                      2 * given_.jobs * limits::keepctl_job_bytes_min / MiB)});
    auto source = session_.open(*given_.source, {});
    if (!source) return std::unexpected(std::move(source.error()));
    const auto& config = session_.config();
    const auto copies = given_.replication.value_or(
        config ? static_cast<unsigned>(std::max<std::int64_t>(1, config->cluster.collections.default_replication))
               : 1U);
    auto target =
        session_.open(*given_.target, {.writes = !given_.dry_run, .classes = given_.classes, .copies = copies});
    if (!target) return std::unexpected(std::move(target.error()));
    source_ = std::move(*source);
    target_ = std::move(*target);
    if (auto opened = failures_.open(); !opened)
        return std::unexpected(start_error{exit_code::usage, "--failures: " + opened.error().text});
    return {};
}

// Connects both places, and finds out where to begin.
awaitable<std::optional<start_error>> replicate_command::begin() {
    const auto until = deadline::in(limits::keepctl_request_timeout);
    for (auto* const p : {source_.get(), target_.get()}) {
        auto ready = co_await p->connect(until);
        if (ready) continue;
        const auto code = ready.error() == errc::bad_request ? exit_code::usage : exit_code::unreachable;
        co_return start_error{code, fmt::format("{}: {}", p->name(), ready.error().text)};
    }
    if (auto same = same_storage(*given_.source, *source_, *given_.target, *target_); !same.empty())
        co_return start_error{exit_code::usage, std::move(same)};
    engine_.emplace(*source_, *target_, options_, *this);
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    if (!given_.dry_run) {
        std::string only;
        if (options_.only) {
            for (const auto& name : *options_.only) only += name.hex();
        }
        auto opened = checkpoint::open(
            state_folder_of(given_), "replicate",
            fingerprint_of({"replicate", given_.source->text, given_.target->text, source_->mounts().front().device_id,
                            target_->mounts().front().device_id, given_.prefix, given_.classes, only,
                            given_.since ? "since" : "", given_.digits ? std::to_string(*given_.digits) : ""}));
        if (!opened)
            co_return start_error{opened.error().active ? exit_code::conflict : exit_code::usage, opened.error().text};
        checkpoint_.emplace(std::move(*opened));
        std::string note;
        if (!given_.fresh) saved_ = checkpoint_->load(now, note);
        if (!note.empty()) session_.out().note(note);
        resumed_ = saved_.has_value();
        if (resumed_) {
            session_.out().note(
                fmt::format("going on with the run of {:%FT%TZ}: {} of {} shards are done (--fresh begins "
                            "anew)",
                            saved_->started_at, saved_->done.size(), saved_->done.capacity()));
        }
    }
    if (!saved_) {
        auto digits = given_.digits ? result<unsigned>(*given_.digits) : co_await engine_->choose_digits();
        if (!digits) co_return start_error{exit_code::unreachable, digits.error().text};
        saved_ = saved_run{.started_at = now, .digits = *digits, .done = shard_set(*digits)};
    }
    co_return std::nullopt;
}

awaitable<exit_code> replicate_command::replicate() {
    if (auto why = co_await begin()) co_return end_with(session_, *why);
    auto over = std::make_shared<bool>(false);
    asio::co_spawn(co_await asio::this_coro::executor, watch(this, over), asio::detached);
    co_await engine_->run(saved_->done);
    *over = true;
    co_return summarize();
}

// Shows progress, writes the checkpoint, and cancels a run that is to stop and does not.
awaitable<void> replicate_command::watch(replicate_command* self, std::shared_ptr<bool> over) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (true) {
        timer.expires_after(limits::run_tick);
        const auto [failed] = co_await timer.async_wait(use_tuple);
        if (failed || *over) co_return;
        const auto now = progress::clock::now();
        if (self->engine_->stopped()) {
            if (!self->stop_at_) self->stop_at_ = now + limits::stop_grace;
            if (self->engine_->busy() == 0 || now >= *self->stop_at_) self->session_.cancel();
        }
        self->save(false);
        if (now >= self->metrics_due_) {
            self->metrics_due_ = now + limits::metrics_interval;
            self->write_metrics(std::nullopt);
        }
        if (self->progress_.due(now)) self->progress_.show(self->progress_line(), now);
    }
}

void replicate_command::save(bool now) {
    const auto time = progress::clock::now();
    if (!checkpoint_ || !unsaved_ || (!now && time - saved_at_ < limits::checkpoint_interval)) return;
    saved_at_ = time;
    unsaved_ = false;
    const auto& c = engine_->counts();
    saved_->counts = {{"listed", c.listed},     {"present", c.present}, {"copied", c.copied},
                      {"replaced", c.replaced}, {"gone", c.gone},       {"bad_source", c.bad_source},
                      {"failed", c.failed},     {"bytes", c.bytes}};
    if (auto written = checkpoint_->save(*saved_); !written && !std::exchange(state_lost_, true))
        warn("going on without a checkpoint: " + written.error().text);
}

void replicate_command::write_metrics(std::optional<exit_code> code) {
    if (!metrics_) return;
    const auto& c = engine_->counts();
    run_metrics m{.command = "replicate", .job = given_.job, .started = started_at_, .code = code};
    m.duration_seconds = std::chrono::duration<double>(progress::clock::now() - began_).count();
    m.blocks = {{"present", c.present}, {"copied", c.copied},         {"replaced", c.replaced}, {"gone", c.gone},
                {"failed", c.failed},   {"bad_source", c.bad_source}, {"left", c.left}};
    m.bytes_copied = c.bytes;
    const auto incomplete = engine_->shards_incomplete();
    m.shards = {
        {"done", engine_->shards_done()},
        {"incomplete", incomplete},
        {"left", engine_->shards_total() - std::min(engine_->shards_total(), engine_->shards_done() + incomplete)}};
    if (code) {
        m.completed = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        if (*code == exit_code::done || *code == exit_code::no_change) m.last_success = m.completed;
    }
    if (auto written = metrics_.write(std::move(m)); !written && !std::exchange(metrics_lost_, true))
        warn("--metrics-file: " + written.error().text);
}

std::string replicate_command::progress_line() const {
    const auto& c = engine_->counts();
    const auto seconds = std::max(0.001, std::chrono::duration<double>(progress::clock::now() - began_).count());
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(c.bytes) / seconds);
    if (progress_.as_json()) {
        return fmt::format(
            R"({{"v":1,"type":"progress","shards_done":{},"shards":{},"listed":{},"copied":{},"bytes":{},"failed":{}}})",
            engine_->shards_done(), engine_->shards_total(), c.listed, c.copied + c.replaced, c.bytes,
            c.failed + c.bad_source);
    }
    return fmt::format("replicate  shard {}/{}  {} looked at  {} copied {}  {} failed  {}/s", engine_->shards_done(),
                       engine_->shards_total(), grouped(c.listed), grouped(c.copied + c.replaced), short_bytes(c.bytes),
                       grouped(c.failed + c.bad_source), short_bytes(rate));
}

record replicate_command::figures() const {
    const auto& c = engine_->counts();
    const auto n = [](std::uint64_t value) { return cell(static_cast<std::int64_t>(value)); };
    return {{"dry_run", given_.dry_run},
            {"listed", n(c.listed)},
            {"present", n(c.present)},
            {"copied", n(c.copied)},
            {"replaced", n(c.replaced)},
            {"gone", n(c.gone)},
            {"failed", n(c.failed)},
            {"bad_source", n(c.bad_source)},
            {"left", n(c.left)},
            {"bytes", n(c.bytes)},
            {"too_large", n(c.too_large)},
            {"shards", n(engine_->shards_total())},
            {"shards_done", n(engine_->shards_done())},
            {"shards_incomplete", n(engine_->shards_incomplete())}};
}

exit_code replicate_command::judge() const {
    const auto& c = engine_->counts();
    auto code = exit_code::done;
    if (!c.add_up() || engine_->shards_incomplete() > 0 || c.left > 0 || state_lost_ || !failures_.problem().empty())
        code = worse(code, exit_code::not_finished);
    if (const auto& fatal = engine_->fatal()) {
        const bool nothing_done = c.copied + c.replaced == 0 && *fatal != errc::no_space;
        code = worse(code, nothing_done ? exit_code::unreachable : exit_code::not_finished);
    }
    if (c.failed + c.bad_source > 0) code = worse(code, exit_code::some_failed);
    if (code == exit_code::done && !engine_->source_has_entries() && !given_.allow_empty_source && !resumed_)
        code = exit_code::refused;
    if (code == exit_code::done && given_.error_on_no_change && c.copied + c.replaced == 0) code = exit_code::no_change;
    return worse(code, session_.stopped_by());
}

void replicate_command::report_failures() {
    auto& out = session_.out();
    for (const auto& f : failures_.first())
        out.error(fmt::format("{}: {}: {}", block_id{f.block, f.size}.text(), f.outcome, f.reason));
    if (failures_.count() <= failures_.first().size()) return;
    out.error(fmt::format("and {} more{}", failures_.count() - failures_.first().size(),
                          given_.failures_file.empty() ? "; --failures FILE keeps all" : ": " + given_.failures_file));
}

exit_code replicate_command::summarize() {
    progress_.clear();
    failures_.close();
    auto& out = session_.out();
    const auto code = judge();
    const auto& c = engine_->counts();
    if (code == exit_code::done || code == exit_code::some_failed || code == exit_code::no_change) {
        if (checkpoint_) checkpoint_->remove();
    } else {
        unsaved_ = true;
        save(true);
    }
    out.say(
        fmt::format("{} blocks looked at: {} present, {} {} ({}), {} replaced, {} gone at the source, {} bad at the "
                    "source, {} failed, {} left",
                    grouped(c.listed), grouped(c.present), grouped(c.copied),
                    given_.dry_run ? "to be copied" : "copied", short_bytes(c.bytes), grouped(c.replaced),
                    grouped(c.gone), grouped(c.bad_source), grouped(c.failed), grouped(c.left)));
    if (resumed_) out.note(fmt::format("other shards were looked at by the run of {:%FT%TZ}", saved_->started_at));
    report_failures();
    if (c.too_large > 0)
        out.note(fmt::format("{} files or objects are larger than a block and were left out", c.too_large));
    if (!c.add_up()) out.error("the counts do not add up: this is a bug");
    if (const auto& fatal = engine_->fatal()) out.error("ended early: " + fatal->text);
    if (engine_->shards_incomplete() > 0)
        out.error(
            fmt::format("{} of {} shards could not be listed", engine_->shards_incomplete(), engine_->shards_total()));
    if (code == exit_code::refused)
        out.error("the source lists no block at all, as an unmounted disk does; --allow-empty-source if that is right");
    if (checkpoint_ && code != exit_code::done && code != exit_code::some_failed && code != exit_code::no_change)
        out.note("to go on: run the same command again");
    write_metrics(code);
    out.end(code, figures());
    return code;
}

exit_code replicate_command::run() {
    return session_.run(replicate(), [this] {
        progress_.clear();
        session_.out().note("stopping; a second signal ends at once");
        if (engine_ && saved_)
            engine_->stop();
        else
            session_.cancel();
    });
}

}  // namespace

exit_code run_replicate(session& s) {
    replicate_command command(s);
    if (auto ready = command.prepare(); !ready) return end_with(s, ready.error());
    return command.run();
}

}  // namespace keepstore::keepctl
