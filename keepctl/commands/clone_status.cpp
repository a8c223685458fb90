// Shows how far a clone's job is.

#include "base/utc_text.hpp"
#include "keepctl/clone/each_segment.hpp"
#include "keepctl/commands/clone_job.hpp"
#include "keepctl/commands/commands.hpp"

#include <fmt/format.h>

#include <map>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

struct job_view {
    std::size_t done = 0;
    clone_counts counts;
    std::map<std::string, segment_claim> claims = {};                 // Of segments without a response.
    std::map<std::string, std::vector<block_failure>> failures = {};  // Some of them, by segment.
    std::size_t failures_kept = 0;
};

awaitable<result<void>> look_at_segment(job_store& store, const clone_job& job, std::string digits, job_view& into,
                                        deadline until) {
    KS_CO_TRY(const auto response, co_await store.read(response_file(digits), until));
    if (auto report = response ? decode_report(response->text, job.id, digits) : std::nullopt) {
        ++into.done;
        into.counts += report->counts;
        if (report->failed.empty() || into.failures_kept >= limits::failures_printed_max) co_return success();
        into.failures_kept += report->failed.size();
        into.failures.emplace(std::move(digits), std::move(report->failed));
        co_return success();
    }
    KS_CO_TRY(const auto claimed, co_await store.read(claim_file(digits), until));
    auto claim = claimed ? decode_claim(claimed->text) : std::nullopt;
    if (claim && claim->job == job.id && claim->until > clone_time_now())
        into.claims.emplace(std::move(digits), std::move(*claim));
    co_return success();
}

awaitable<result<job_view>> look_at_job(job_store& store, const clone_job& job, deadline until) {
    job_view out;
    const auto look = [&](std::string digits) { return look_at_segment(store, job, std::move(digits), out, until); };
    KS_CO_CHECK(co_await for_each_segment(job.digits, look));
    co_return out;
}

awaitable<outcome<exit_code>> show_job(session& s, job_store& store) {
    const auto until = deadline::in(limits::listing_time_max);
    KS_CO_TRY(const auto job, co_await read_job(store, until));
    if (!job) co_return refuse(exit_code::usage, store.where() + ": there is no job");
    const auto view = co_await look_at_job(store, *job, until);
    if (!view) co_return refuse(exit_code::unreachable, store.where() + ": " + view.error().text);
    const auto& c = view->counts;
    const auto segments = shard_count(job->digits);
    auto& out = s.out();
    out.add("job", {{"source", job->source},
                    {"destination", job->destination},
                    {"began", utc_text(job->created_at)},
                    {"segments", segments},
                    {"done", view->done},
                    {"claimed", view->claims.size()},
                    {"listed", c.listed},
                    {"present", c.present},
                    {"copied", c.copied + c.replaced},
                    {"bytes", c.bytes},
                    {"gone", c.gone},
                    {"failed", c.failed + c.bad_source}});
    out.flush();
    for (const auto& [digits, claim] : view->claims) {
        out.add("claim", {{"segment", digits.empty() ? std::string("all") : digits},
                          {"worker", claim.worker},
                          {"until", utc_text(claim.until)}});
    }
    out.flush();
    for (std::size_t printed = 0; const auto& [digits, failures] : view->failures) {
        for (const auto& f : failures) {
            if (printed++ >= limits::failures_printed_max) break;
            out.error(fmt::format("{}: {}: {}", block_id{f.block, f.size}.text(), f.outcome, f.reason));
        }
    }
    const auto code = view->done < segments         ? exit_code::not_finished
                      : c.failed + c.bad_source > 0 ? exit_code::some_failed
                                                    : exit_code::done;
    co_return out.end(code, {{"segments", segments}, {"done", view->done}, {"failed", c.failed + c.bad_source}});
}

}  // namespace

outcome<exit_code> run_clone_status(session& s) {
    KS_TRY(const auto store, open_job_store(s, s.given().file, false));
    return s.run(show_job(s, *store));
}

}  // namespace keepstore::keepctl
