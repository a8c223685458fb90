#include "keepctl/clone/segment_board.hpp"

#include "base/text.hpp"
#include "keepctl/clone/each_segment.hpp"
#include "protocol/random_token.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

namespace keepstore::keepctl {
namespace {

std::string host_name() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
    return name.data();
}

/// Whether a worker was a process of this host that is gone.
bool is_gone(std::string_view worker) {
    const auto host = host_name() + ":";
    if (!worker.starts_with(host)) return false;
    worker.remove_prefix(host.size());
    const auto pid = parse_number<int>(worker.substr(0, worker.find(':')));
    return pid && *pid > 0 && ::kill(*pid, 0) != 0 && errno == ESRCH;
}

}  // namespace

std::string worker_name() {
    return fmt::format("{}:{}:{}", host_name(), ::getpid(), protocol::random_token().substr(0, 8));
}

segment_board::segment_board(job_store* store, clone_job job, options given)
    : store_(store), job_(std::move(job)), options_(std::move(given)) {}

std::string segment_board::claim_text(std::chrono::seconds from_now) const {
    return encode(segment_claim{.job = job_.id, .worker = options_.worker, .until = clone_time_now() + from_now});
}

awaitable<result<std::optional<segment_report>>> segment_board::response(const std::string& digits, deadline until) {
    KS_CO_TRY(const auto there, co_await store_->read(response_file(digits), until));
    if (!there) co_return std::nullopt;
    // What is damaged, or of another job, is no response.
    auto report = decode_report(there->text, job_.id, digits);
    if (report && report->failed_total() == 0) counted_.emplace(digits, report->counts);
    co_return report;
}

awaitable<result<std::size_t>> segment_board::load(deadline until) {
    if (!store_) co_return 0U;
    const auto load_one = [this, until](std::string digits) { return load_segment(std::move(digits), until); };
    KS_CO_CHECK(co_await for_each_segment(job_.digits, load_one));
    co_return done_.size();
}

awaitable<result<void>> segment_board::load_segment(std::string digits, deadline until) {
    KS_CO_TRY(const auto there, co_await response(digits, until));
    if (!there) co_return success();
    if (there->failed_total() == 0)
        done_.insert(std::move(digits));
    else
        retried_.emplace(std::move(digits), there->worker);
    co_return success();
}

awaitable<result<segment_board::taken>> segment_board::take(deadline until) {
    bool others = false;
    for (std::size_t i = 0; i < segments(); ++i) {
        const auto digits = shard_prefix(job_.digits, i);
        if (done_.contains(digits) || given_up_.contains(digits) || busy_.contains(digits)) continue;
        if (!store_) {
            busy_.insert(digits);
            co_return taken{next::segment, digits};
        }
        // Before anything is awaited: calls run concurrently.
        busy_.insert(digits);
        const auto got = co_await claim(digits, until);
        if (got && *got == reached::mine) co_return taken{next::segment, digits};
        busy_.erase(digits);
        if (!got) co_return std::unexpected(got.error());
        if (*got == reached::done)
            done_.insert(digits);
        else
            others = true;
    }
    co_return taken{others ? next::others : next::none};
}

awaitable<result<segment_board::reached>> segment_board::claim(const std::string& digits, deadline until) {
    KS_CO_TRY(const auto done, co_await response(digits, until));
    // Failures of an earlier run are retried, those of a worker of this run are not.
    const auto earlier = retried_.find(digits);
    if (done && (done->failed_total() == 0 || earlier == retried_.end() || earlier->second != done->worker))
        co_return reached::done;
    if (options_.alone) co_return reached::mine;
    const auto name = claim_file(digits);
    KS_CO_TRY(const auto there, co_await store_->read(name, until));
    if (there && !is_stale(digits, there->text)) co_return reached::theirs;
    auto version = there ? std::optional(there->version) : std::nullopt;
    KS_CO_TRY(const bool mine, co_await store_->swap(name, claim_text(options_.claim_time), std::move(version), until));
    co_return mine ? reached::mine : reached::theirs;
}

bool segment_board::is_stale(const std::string& digits, const std::string& text) {
    const auto claim = decode_claim(text);
    if (!claim || claim->job != job_.id || claim->worker == options_.worker) return true;
    const auto now = std::chrono::steady_clock::now();
    auto& seen = others_[digits];
    if (seen.text != text) seen = {text, now};
    return clone_time_now() > claim->until + options_.claim_time || now - seen.since > 2 * options_.claim_time ||
           is_gone(claim->worker);
}

awaitable<result<void>> segment_board::respond(const segment_report& report, deadline until) {
    if (store_) {
        // Of two workers that did the same segment the one with fewer failures counts.
        const auto better = [&](std::string_view text) {
            const auto there = decode_report(text, job_.id, report.segment);
            return there && there->failed_total() == 0 && report.failed_total() > 0;
        };
        KS_CO_CHECK(co_await put_file(*store_, response_file(report.segment), encode(report, job_.id), better, until));
    }
    if (report.failed_total() == 0) counted_.emplace(report.segment, report.counts);
    busy_.erase(report.segment);
    done_.insert(report.segment);
    co_return success();
}

void segment_board::give_up(const std::string& digits) {
    given_up_.insert(digits);
}

awaitable<void> segment_board::renew_claims() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
        const auto woken = co_await stopping_.wait(lock, deadline::in(options_.claim_time / 3));
        if (stop_ || !store_ || options_.alone || (!woken && woken.error() != errc::timeout)) co_return;
        lock.unlock();
        const auto held = busy_;
        for (const auto& digits : held) {
            const auto until = deadline::in(options_.claim_time);
            co_await set_claim(digits, options_.claim_time, [&] { return busy_.contains(digits); }, until);
        }
        lock.lock();
    }
}

void segment_board::stop_renewing() {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    stopping_.notify_all();
}

awaitable<void> segment_board::release_all(deadline until) {
    if (!store_ || options_.alone) co_return;
    const auto always = [] { return true; };
    for (const auto& digits : std::exchange(busy_, {}))
        co_await set_claim(digits, -2 * options_.claim_time, always, until);
}

// A claim that cannot be changed may be taken over, or passes, which does no harm. While it is read the segment may be
// finished or given up: a claim that is renewed after that would keep other workers from it.
awaitable<void> segment_board::set_claim(std::string digits, std::chrono::seconds from_now,
                                         std::function<bool()> still_wanted, deadline until) {
    const auto name = claim_file(digits);
    auto there = co_await store_->read(name, until);
    if (!there || !*there || !still_wanted()) co_return;
    const auto claim = decode_claim((*there)->text);
    if (!claim || claim->worker != options_.worker) co_return;
    static_cast<void>(co_await store_->swap(name, claim_text(from_now), std::move((*there)->version), until));
}

awaitable<result<std::optional<job_result>>> segment_board::finish(deadline until) {
    if (!store_) co_return std::nullopt;
    job_result out{.job = job_.id, .ended_at = clone_time_now(), .segments = segments()};
    for (std::size_t i = 0; i < segments(); ++i) {
        const auto digits = shard_prefix(job_.digits, i);
        const auto known = counted_.find(digits);
        if (known != counted_.end()) {
            out.counts += known->second;
            continue;
        }
        KS_CO_TRY(const auto there, co_await response(digits, until));
        if (!there) co_return std::nullopt;
        out.counts += there->counts;
    }
    // Every worker gets here; the first one with these totals writes them.
    const auto same = [&](std::string_view text) {
        const auto there = decode_result(text);
        return there && there->job == out.job && there->counts == out.counts;
    };
    KS_CO_CHECK(co_await put_file(*store_, std::string(result_file), encode(out), same, until));
    co_return out;
}

}  // namespace keepstore::keepctl
