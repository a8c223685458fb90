#include "keepctl/commands/run_frame.hpp"

#include "base/cancellable.hpp"
#include "base/service_manager.hpp"
#include "base/text.hpp"
#include "base/utc_text.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cstdlib>

namespace keepstore::keepctl {
namespace {

std::chrono::sys_seconds now_in_seconds() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

/// Whether the next run begins anew. A run that was refused has done nothing that another one could go on with.
bool is_over(exit_code code) {
    return code == exit_code::done || code == exit_code::some_failed || code == exit_code::no_change ||
           code == exit_code::refused;
}

std::uint64_t sum_of(const run_figures& figures) {
    std::uint64_t out = figures.bytes + figures.shards_done + figures.shards_incomplete;
    for (const auto& [outcome, n] : figures.blocks) out += n;
    return out;
}

/// Different failures that are shown at once.
constexpr std::size_t failure_kinds_max = 10;

/// Commands with --only.
bool takes_only(std::string_view command) {
    return command == "replicate" || command == "snapshot restore";
}

std::string failure_text(const block_failure& f) {
    return fmt::format("{}: {}: {}", block_id{f.block, f.size}.text(), f.outcome, f.reason);
}

/// A word for a POSIX shell.
std::string shell_word(std::string_view word) {
    const auto plain = [](char c) { return is_alphanumeric(c) || std::string_view("-_./:=,@%+").contains(c); };
    if (!word.empty() && std::ranges::all_of(word, plain)) return std::string(word);
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

}  // namespace

std::string state_folder_of(const arguments& given) {
    if (!given.state_folder.empty()) return given.state_folder;
    const auto variable = [](const char* name) {
        const char* const value = std::getenv(name);
        return std::string(value ? value : "");
    };
    if (auto folder = variable("STATE_DIRECTORY"); !folder.empty()) return folder;
    if (::geteuid() == 0) return "/var/lib/keepctl";
    if (const auto home = variable("XDG_STATE_HOME"); !home.empty()) return home + "/keepctl";
    return variable("HOME") + "/.local/state/keepctl";
}

std::string command_to_go_on(const arguments& given) {
    std::string out = "keepctl";
    for (const auto& word : given.words) {
        if (word != "--fresh") out += ' ' + shell_word(word);
    }
    return out;
}

run_frame::run_frame(session& s)
    : session_(s),
      given_(s.given()),
      progress_(given_.progress, given_.quiet),
      metrics_(given_.metrics_path),
      started_at_(now_in_seconds()) {}

outcome<void> run_frame::open_failures() {
    failures_.emplace(given_.failures_file);
    if (auto opened = failures_->open(); !opened) return refuse(exit_code::usage, "--failures: " + opened.error().text);
    return {};
}

outcome<void> run_frame::open_state(const std::vector<std::string>& parts) {
    KS_TRY(auto opened, checkpoint::open(state_folder_of(given_), parts.front(), fingerprint_of(parts)));
    checkpoint_.emplace(std::move(opened));
    if (given_.fresh) return {};
    std::string note;
    saved_ = checkpoint_->load(now_in_seconds(), note);
    if (!note.empty()) session_.out().note(note);
    resumed_ = saved_.has_value();
    if (resumed_) {
        session_.out().note(fmt::format("going on with the run of {}: {} of {} done (--fresh begins anew)",
                                        utc_text(saved_->started_at), saved_->done.size(),
                                        count_of(saved_->done.capacity(), "shard")));
    }
    return {};
}

void run_frame::begin(unsigned digits) {
    saved_ = saved_run{.started_at = now_in_seconds(), .digits = digits, .done = shard_set(digits)};
    resumed_ = false;
}

exit_code run_frame::execute(awaitable<outcome<exit_code>> command) {
    return session_.run(std::move(command), [this] {
        progress_.clear();
        session_.out().note("stopping; a second signal ends at once");
        if (running_)
            work_->stop();
        else
            session_.cancel();
    });
}

awaitable<void> run_frame::run(framed_work& what, awaitable<void> work) {
    auto over = std::make_shared<bool>(false);
    work_ = &what;
    running_ = true;
    began_ = clock::now();
    started_at_ = now_in_seconds();
    done_before_ = saved_ ? saved_->done.size() : 0;
    spawn(co_await asio::this_coro::executor, watch(this, over));
    co_await std::move(work);
    *over = true;
    running_ = false;
}

awaitable<void> run_frame::watch(run_frame* self, std::shared_ptr<bool> over) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (true) {
        timer.expires_after(limits::run_tick);
        const auto [failed] = co_await expiry(timer);
        if (failed || *over) co_return;
        const auto now = clock::now();
        if (self->work_->stopped()) {
            if (!self->stop_at_) self->stop_at_ = now + limits::stop_grace;
            if (self->work_->busy() == 0 || now >= *self->stop_at_) self->session_.cancel();
        }
        self->save(false);
        if (now >= self->metrics_due_) {
            self->metrics_due_ = now + limits::metrics_interval;
            self->write_metrics(std::nullopt);
        }
        if (self->watchdog_ && now >= self->watchdog_due_) {
            const auto seen = sum_of(self->work_->figures());
            const bool alive = std::exchange(self->figures_seen_, seen) != seen || self->work_->waiting();
            self->feed_watchdog(now, alive);
        }
        if (self->progress_.due(now)) {
            const std::chrono::duration<double> seconds = now - self->began_;
            self->progress_.show(self->work_->progress_line(seconds.count(), self->progress_.as_json()), now);
        }
    }
}

void run_frame::feed_watchdog(clock::time_point now, bool alive) {
    if (!alive) return;
    watchdog_due_ = now + *watchdog_;
    notify_alive();
}

void run_frame::serve(const std::string& status) {
    if (std::exchange(ready_, true)) {
        notify_status(status);
        return;
    }
    notify_ready(status);
    watchdog_ = watchdog_interval();
}

awaitable<bool> run_frame::idle(std::chrono::nanoseconds time, const bool& wake) {
    const auto end = clock::now() + std::chrono::duration_cast<clock::duration>(time);
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (true) {
        const auto now = clock::now();
        if (now >= end || wake) co_return true;
        if (watchdog_ && now >= watchdog_due_) feed_watchdog(now, true);
        timer.expires_after(std::min<clock::duration>(end - now, limits::run_tick));
        if (const auto [failed] = co_await expiry(timer); failed) co_return false;
    }
}

void run_frame::warn(std::string_view text) {
    progress_.clear();
    session_.out().warn(text);
}

void run_frame::note(std::string_view text) {
    progress_.clear();
    session_.out().note(text);
}

void run_frame::failed(const block_failure& failure) {
    // The list comes at the end, hours later; the first failure of each kind may be a reason to stop now.
    if (kinds_seen_.size() < failure_kinds_max && kinds_seen_.insert(failure.outcome + failure.reason).second)
        warn(failure_text(failure));
    if (!failures_->add(failure)) warn("the failures file cannot be written: " + failures_->problem());
}

void run_frame::shard_done(std::size_t shard) {
    if (!saved_) return;
    saved_->done.insert(shard);
    unsaved_ = true;
}

void run_frame::save(bool now) {
    const auto time = clock::now();
    if (!checkpoint_ || !work_ || !unsaved_ || (!now && time - saved_at_ < limits::checkpoint_interval)) return;
    saved_at_ = time;
    unsaved_ = false;
    const auto figures = work_->figures();
    saved_->counts.clear();
    for (const auto& [outcome, n] : figures.blocks) saved_->counts.emplace(outcome, n);
    saved_->counts.emplace("bytes", figures.bytes);
    if (auto written = checkpoint_->save(*saved_); !written && !std::exchange(state_lost_, true))
        warn("going on without a checkpoint: " + written.error().text);
}

void run_frame::write_metrics(std::optional<exit_code> code) {
    if (!metrics_ || !work_) return;
    auto figures = work_->figures();
    run_metrics m{.command = given_.command, .job = given_.job, .started = started_at_, .code = code};
    m.duration_seconds = std::chrono::duration<double>(clock::now() - began_).count();
    m.blocks = std::move(figures.blocks);
    m.bytes_copied = figures.bytes;
    m.more = std::move(figures.more);
    const auto looked_at = figures.shards_done + figures.shards_incomplete;
    m.shards = {{"done", figures.shards_done},
                {"incomplete", figures.shards_incomplete},
                {"left", figures.shards_total - std::min(figures.shards_total, looked_at)}};
    if (code) {
        m.completed = now_in_seconds();
        if (*code == exit_code::done || *code == exit_code::no_change) m.last_success = m.completed;
    }
    if (auto written = metrics_.write(std::move(m)); !written && !std::exchange(metrics_lost_, true))
        warn("--metrics-file: " + written.error().text);
}

exit_code run_frame::problem() const noexcept {
    return state_lost_ || (failures_ && !failures_->problem().empty()) ? exit_code::not_finished : exit_code::done;
}

void run_frame::clear() {
    progress_.clear();
    if (failures_) failures_->close();
}

void run_frame::report_failures() const {
    auto& out = session_.out();
    for (const auto& f : failures_->first()) out.error(failure_text(f));
    if (failures_->count() > failures_->first().size()) {
        out.error(
            fmt::format("and {} more{}", failures_->count() - failures_->first().size(),
                        given_.failures_file.empty() ? "; --failures FILE keeps all" : ": " + given_.failures_file));
    }
    if (takes_only(given_.command) && failures_->count() > 0 && !given_.failures_file.empty())
        out.note("to try these blocks alone: run again with --only " + shell_word(given_.failures_file));
}

void run_frame::end_pass(exit_code code) {
    if (checkpoint_ && is_over(code)) {
        checkpoint_->remove();
    } else {
        unsaved_ = true;
        save(true);
    }
    write_metrics(code);
}

void run_frame::close(exit_code code) {
    end_pass(code);
    if (checkpoint_ && !is_over(code)) session_.out().note("to go on: " + command_to_go_on(given_));
}

}  // namespace keepstore::keepctl
