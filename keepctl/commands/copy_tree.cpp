// The options of replicate and clone.
#include "keepctl/commands/command_parts.hpp"

#include "cloud/time.hpp"
#include "cluster_config/scalars.hpp"

#include <utility>

namespace keepstore::keepctl {

using CLI::App;

namespace {

std::string parse_since(const std::string& text, std::optional<std::chrono::sys_time<std::chrono::nanoseconds>>& into) {
    if (const auto ago = cluster_config::parse_duration(text); ago && ago->count() >= 0) {
        into = std::chrono::system_clock::now() - *ago;
        return {};
    }
    if (const auto at = cloud::parse_iso_date(text)) {
        into = *at;
        return {};
    }
    return fmt::format(
        "found \"{}\"; expected a time such as 2026-01-31T00:00:00Z, or a duration before now such as 36h", text);
}

}  // namespace

void add_replicate(App& tree, arguments& a) {
    App& app = add_command(tree, a, "replicate", "copy every block of SOURCE that DESTINATION lacks to DESTINATION");
    add_place(app, "source", a.source, "where blocks are read")->required();
    add_place(app, "destination", a.target, "where blocks are stored")->required();
    add_switch(app, "-n,--dry-run", a.dry_run, "list and count only");
    add_text(app, "--class", "CLASSES", a.classes, "storage classes at the destination, if it is a server");
    add_replication(app, a, "copies of each block, if the destination is `cluster` (default DefaultReplication)");
    add_parsed(app, "--since", "TIME", "only blocks written at or after this time, or in this last time",
               [&a](const std::string& text) {
                   a.since_text = text;
                   return parse_since(text, a.since);
               });
    add_prefix(app, a);
    add_only(app, a);
    add_jobs(app, a, "blocks under way at a time (default 16 between servers, else 8)");
    add_bandwidth(app, a, limits::keepctl_bandwidth_min, "bytes of blocks per second");
    add_switch(app, "--newest-first", a.newest_first,
               "blocks of the last hour first, then of the last day, of 30 days, the rest");
    add_switch(app, "--verify", a.verify, "list both places once more afterwards: what is missing has failed");
    auto* const continuous =
        once(app.add_flag("--continuous", a.continuous, "pass after pass, newest blocks first, until a signal comes"))
            ->excludes("--dry-run");
    add_duration(app, "--interval", a.interval, "time between two passes (default 1m)")->needs(continuous);
    add_switch(app, "--exit-on-failure", a.exit_on_failure, "end after the first pass with a failure")
        ->needs(continuous);
    add_run(app, a);
    add_text(app, "--job", "NAME", a.job, "label `job` of the metrics");
    add_connection(app, a);
}

void add_clone(App& tree, arguments& a) {
    App& app = add_command(tree, a, "clone",
                           "copy a keepstore's bucket or container to another, inside the service where it can");
    app.footer(
        "keepctl clone [OPTIONS] --worker JOB   joins a job.\n"
        "keepctl clone [OPTIONS] status JOB     shows how far a job is.");
    add_parsed(app, "source", "PLACE", "bucket or container that is read: s3://... or volume:UUID; or the word status",
               [&a](const std::string& text) -> std::string {
                   if (text == "status") {
                       a.action = text;
                       return {};
                   }
                   return keep_parsed(parse_place(text), a.source);
               });
    auto* const target =
        add_parsed(app, "destination", "PLACE", "bucket or container that is written; after status: the job",
                   [&a](const std::string& text) -> std::string {
                       if (a.action == "status") {
                           a.file = text;
                           return {};
                       }
                       return keep_parsed(parse_place(text), a.target);
                   });
    auto* const worker = add_text(app, "--worker", "JOB", a.join_job, "join this job, concurrently with other workers");
    worker->excludes(target);
    add_switch(app, "-n,--dry-run", a.dry_run, "list and count only");
    add_text(app, "--job", "JOB", a.job,
             "where requests and responses are: a folder, or s3://bucket/prefix?... (default in the state folder)")
        ->excludes(worker);
    add_choice(app, "--mode", a.mode, {"auto", "server-side", "stream"},
               "copies inside the service, or through this host (default auto: by the first copy)");
    add_choice(app, "--verify", a.proof, {"etag", "read", "none"},
               "prove copies by their ETag, and read those without one; read all; or trust the service (default etag)");
    add_switch(app, "--trash", a.with_trash, "also what is in the trash");
    add_jobs(app, a, "requests at a time at most (default 64 inside a service, 8 through this host)");
    // A block may be read twice in its time: to be copied, and to be proven.
    add_bandwidth(app, a, limits::keepctl_job_bandwidth_min,
                  "bytes of blocks per second, copied inside the service or read here");
    add_parsed(app, "--claim-time", "DURATION", "for how long a worker claims a segment, unless it renews that (60s)",
               [&a](const std::string& text) -> std::string {
                   const auto length = cluster_config::parse_duration(text);
                   if (!length || *length < std::chrono::seconds(1) || *length > std::chrono::hours(1))
                       return fmt::format("found \"{}\"; expected a duration from 1s to 1h", text);
                   a.claim_time = std::chrono::ceil<std::chrono::seconds>(*length);
                   return {};
               });
    add_run(app, a);
    add_connection(app, a);
}

}  // namespace keepstore::keepctl
