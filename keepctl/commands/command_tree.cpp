#include "keepctl/commands/command_parts.hpp"

#include "cluster_config/scalars.hpp"
#include "keepctl/commands/option_values.hpp"
#include "protocol/locator.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace keepstore::keepctl {

using CLI::App;
using CLI::Option;

/// Options are given once, unless they say otherwise.
Option* once(Option* option) {
    return option->multi_option_policy(CLI::MultiOptionPolicy::Throw);
}

/// An option whose value `parse` reads; it returns what is wrong, or an empty text.
Option* add_parsed(App& app, const std::string& name, const std::string& value_name, const std::string& help,
                   std::function<std::string(const std::string&)> parse) {
    auto* const option = app.add_option_function<std::string>(
        name,
        [name, parse = std::move(parse)](const std::string& text) {
            if (const auto problem = parse(text); !problem.empty()) throw CLI::ValidationError(name, problem);
        },
        help);
    return once(option->type_name(value_name));
}

Option* add_text(App& app, const std::string& name, const std::string& value_name, std::string& into,
                 const std::string& help) {
    return once(app.add_option(name, into, help)->type_name(value_name));
}

Option* add_switch(App& app, const std::string& name, bool& into, const std::string& help) {
    return once(app.add_flag(name, into, help));
}

Option* add_place(App& app, const std::string& name, std::optional<place>& into, const std::string& help) {
    return add_parsed(app, name, "PLACE", help, [&into](const std::string& text) -> std::string {
        auto parsed = parse_place(text);
        if (!parsed) return parsed.error();
        into = std::move(*parsed);
        return {};
    });
}

namespace {

void add_jobs(App& app, arguments& a, const std::string& help) {
    add_parsed(app, "--jobs", "N", help,
               [&a](const std::string& text) { return parse_count(text, 1U, limits::keepctl_jobs_max, a.jobs); });
}

void add_memory(App& app, arguments& a, const std::string& help) {
    add_parsed(app, "--memory", "SIZE", help, [&a](const std::string& text) {
        const auto size = cluster_config::parse_byte_size(text);
        if (!size || *size < limits::keepctl_memory_min || *size > limits::keepctl_memory_max)
            return fmt::format("found \"{}\"; expected a size from 64MiB to 4GiB", text);
        a.memory = *size;
        return std::string();
    });
}

Option* add_blocks(App& app, arguments& a, const std::string& help) {
    return app.add_option("block", a.blocks, help)->type_name("HASH[+SIZE]")->check([](const std::string& text) {
        return protocol::locator::parse(text) ? std::string() : fmt::format("\"{}\" is no hash or hash+size", text);
    });
}

/// An option with one of these values.
Option* add_choice(App& app, const std::string& name, std::string& into, std::vector<std::string> values,
                   const std::string& help) {
    return add_parsed(app, name, "HOW", help, [&into, values = std::move(values)](const std::string& text) {
        if (std::ranges::find(values, text) == values.end())
            return fmt::format("found \"{}\"; expected {}", text, fmt::join(values, ", "));
        into = text;
        return std::string();
    });
}

}  // namespace

void add_connection(App& app, arguments& a) {
    once(app.add_option("--config", a.config,
                        "cluster configuration file, - for standard input (default $ARVADOS_CONFIG, else "
                        "/etc/arvados/config.yml if it is there)")
             ->type_name("FILE"));
    app.add_option("--server", a.servers, "a server, instead of those of the configuration; may be repeated")
        ->type_name("URL[=UUID]")
        ->allow_extra_args(false);
    add_text(app, "--token-file", "FILE", a.token_file,
             "file with the SystemRootToken (default $KEEPCTL_TOKEN, $ARVADOS_API_TOKEN, the configuration's)");
    add_text(app, "--signing-key-file", "FILE", a.signing_key_file,
             "file with the BlobSigningKey (default the configuration's)");
    add_text(app, "--management-token-file", "FILE", a.management_token_file,
             "file with the ManagementToken (default the configuration's)");
    add_text(app, "--ca-file", "FILE", a.ca_file, "certificate authorities to trust, PEM (default the system's)");
    add_switch(app, "--tls-insecure", a.tls_insecure, "accept any certificate; for tests");
}

void add_output(App& app, arguments& a) {
    auto* const json =
        once(app.add_flag_callback("--json", [&a] { a.shape = output_shape::json; }, "one JSON object a line"));
    once(app.add_flag_callback(
             "--plain", [&a] { a.shape = output_shape::plain; }, "one record a line, separated by tabs, no header"))
        ->excludes(json);
    add_switch(app, "-q,--quiet", a.quiet, "no progress and no notes");
    add_switch(app, "--no-color", a.no_color, "no bold text on a terminal (also with $NO_COLOR)");
    app.add_flag("-v,--verbose", a.verbose, "more about what goes on; may be repeated");
    add_parsed(app, "--timeout", "DURATION", "end the whole command after this long",
               [&a](const std::string& text) { return parse_time_limit(text, a.timeout); });
}

App& add_command(App& tree, arguments& a, const std::string& name, const std::string& summary) {
    App& out = *tree.add_subcommand(name, summary);
    out.callback([&a, &out] { a.command = full_name(out); });
    return out;
}

void add_progress(App& app, arguments& a) {
    once(app.add_option("--progress", a.progress, "auto, line, plain, json or none")
             ->type_name("HOW")
             ->transform(CLI::CheckedTransformer(
                             std::vector<std::pair<std::string, progress_shape>>{{"auto", progress_shape::automatic},
                                                                                 {"line", progress_shape::line},
                                                                                 {"plain", progress_shape::plain},
                                                                                 {"json", progress_shape::json},
                                                                                 {"none", progress_shape::none}})
                             .description("")));
}

namespace {

/// How work over whole indexes is cut.
void add_work(App& app, arguments& a) {
    add_memory(app, a, "memory for blocks and indexes (default 128MiB)");
    add_parsed(
        app, "--digits", "N", "cut the work by this many hex digits (default: by the number of blocks)",
        [&a](const std::string& text) { return parse_count(text, 0U, limits::shard_digits_max, a.digits.emplace()); });
}

/// What every run that takes long leaves and shows.
void add_state(App& app, arguments& a) {
    add_text(app, "--metrics-file", "FILE", a.metrics_path,
             "write metrics of the run to this file, for the textfile collector of Prometheus' node exporter");
    add_text(app, "--state-dir", "FOLDER", a.state_folder,
             "where the run is remembered (default $STATE_DIRECTORY, /var/lib/keepctl, $XDG_STATE_HOME/keepctl)");
    add_progress(app, a);
}

/// What commands that copy blocks have in common.
void add_run(App& app, arguments& a) {
    add_work(app, a);
    add_parsed(app, "--give-up-after", "DURATION",
               "end the run when a place has failed for this long without a success (default 15m)",
               [&a](const std::string& text) {
                   std::optional<std::chrono::nanoseconds> limit;
                   const auto problem = parse_time_limit(text, limit);
                   if (limit) a.give_up_after = *limit;
                   return problem;
               });
    add_text(app, "--failures", "FILE", a.failures_file,
             "write blocks that failed to this file, one JSON object a line");
    add_switch(app, "--fresh", a.fresh, "begin anew, although an earlier run did not finish");
    add_switch(app, "--allow-empty-source", a.allow_empty_source, "a source without any block is no mistake");
    add_switch(app, "--error-on-no-change", a.error_on_no_change, "exit code 9 if nothing had to be copied");
    add_state(app, a);
}

void add_replicate(App& tree, arguments& a) {
    App& app = add_command(tree, a, "replicate", "copy every block of SOURCE that DESTINATION lacks to DESTINATION");
    add_place(app, "source", a.source, "where blocks are read")->required();
    add_place(app, "destination", a.target, "where blocks are stored")->required();
    add_switch(app, "-n,--dry-run", a.dry_run, "list and count only");
    add_text(app, "--class", "CLASSES", a.classes, "storage classes at the destination, if it is a server");
    add_parsed(app, "--replication", "N",
               "copies of each block, if the destination is `cluster` (default "
               "DefaultReplication)",
               [&a](const std::string& text) { return parse_count(text, 1U, 64U, a.replication.emplace()); });
    add_parsed(app, "--since", "TIME", "only blocks written at or after this time, or in this last time",
               [&a](const std::string& text) { return parse_since(text, a.since); });
    add_parsed(app, "--prefix", "DIGITS", "only blocks whose hash begins with these hex digits",
               [&a](const std::string& text) { return parse_prefix(text, a.prefix); });
    add_text(app, "--only", "FILE", a.only_file,
             "only the blocks named in this file: lines hash[+size], or a failures file");
    add_parsed(app, "--jobs", "N", "blocks under way at a time (default 8)",
               [&a](const std::string& text) { return parse_count(text, 1U, limits::keepctl_jobs_max, a.jobs); });
    add_parsed(app, "--bandwidth", "SIZE", "bytes of blocks per second (default: no limit)",
               [&a](const std::string& text) {
                   const auto size = cluster_config::parse_byte_size(text);
                   if (!size || *size < limits::keepctl_bandwidth_min)
                       return fmt::format("found \"{}\"; expected a size from 256KiB", text);
                   a.bandwidth = *size;
                   return std::string();
               });
    add_switch(app, "--newest-first", a.newest_first,
               "blocks of the last hour first, then of the last day, of 30 days, the rest");
    add_switch(app, "--verify", a.verify, "list both places once more afterwards: what is missing has failed");
    auto* const continuous =
        once(app.add_flag("--continuous", a.continuous, "pass after pass, newest blocks first, until a signal comes"))
            ->excludes("--dry-run");
    add_parsed(app, "--interval", "DURATION", "time between two passes (default 1m)", [&a](const std::string& text) {
        std::optional<std::chrono::nanoseconds> interval;
        const auto problem = parse_time_limit(text, interval);
        if (interval) a.interval = *interval;
        return problem;
    })->needs(continuous);
    add_switch(app, "--exit-on-failure", a.exit_on_failure, "end after the first pass with a failure")
        ->needs(continuous);
    add_text(app, "--job", "NAME", a.job, "label of these metrics");
    add_run(app, a);
    add_connection(app, a);
    add_output(app, a);
}

void add_clone(App& tree, arguments& a) {
    App& app =
        add_command(tree, a, "clone",
                    "copy a keepstore's bucket to another bucket, inside the service where it can; clone status JOB "
                    "shows how far a job is");
    add_parsed(app, "source", "PLACE", "bucket that is read: s3://... or volume:UUID; or the word status",
               [&a](const std::string& text) -> std::string {
                   if (text == "status") {
                       a.action = text;
                       return {};
                   }
                   auto parsed = parse_place(text);
                   if (parsed) a.source = std::move(*parsed);
                   return parsed ? std::string() : parsed.error();
               });
    auto* const target = add_parsed(app, "destination", "PLACE", "bucket that is written; after status: the job",
                                    [&a](const std::string& text) -> std::string {
                                        if (a.action == "status") {
                                            a.file = text;
                                            return {};
                                        }
                                        auto parsed = parse_place(text);
                                        if (parsed) a.target = std::move(*parsed);
                                        return parsed ? std::string() : parsed.error();
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
    add_parsed(app, "--jobs", "N", "requests at a time at most (default 64 inside a service, 8 through this host)",
               [&a](const std::string& text) {
                   return parse_count(text, 1U, limits::keepctl_jobs_max, a.clone_jobs.emplace());
               });
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
    add_output(app, a);
}

Option* add_duration(App& app, const std::string& name, std::optional<std::chrono::nanoseconds>& into,
                     const std::string& help) {
    return add_parsed(app, name, "DURATION", help,
                      [&into](const std::string& text) { return parse_time_limit(text, into); });
}

Option* add_texts(App& app, const std::string& name, const std::string& value_name, std::vector<std::string>& into,
                  const std::string& help) {
    return app.add_option(name, into, help + "; may be repeated")->type_name(value_name)->allow_extra_args(false);
}

template <class Value>
Option* add_choice(App& app, const std::string& name, Value& into,
                   const std::vector<std::pair<std::string, Value>>& choices, const std::string& help) {
    return once(app.add_option(name, into, help)
                    ->type_name("HOW")
                    ->transform(CLI::CheckedTransformer(choices).description("")));
}

void add_balance(App& tree, arguments& a) {
    App& app = add_command(tree, a, "balance",
                           "plan which copies to pull and to trash, so that each block has those that are wanted");
    auto& b = a.balance;
    add_choice<balance::apply_level>(app, "--apply", b.apply,
                                     {{"pulls", balance::apply_level::pulls}, {"all", balance::apply_level::all}},
                                     "pulls: send pull lists; all: trash lists, too (default: only show the plan)");
    add_text(app, "--rules", "FILE", b.rules_file, "what is wanted, and limits (docs/balance.md)");
    add_texts(
        app, "--references", "FILE", b.reference_files,
        "blocks that are referenced, or Arvados manifests; what no file names is garbage (default: every block is "
        "wanted)");
    add_parsed(app, "--prefix", "DIGITS", "only blocks whose hash begins with these hex digits",
               [&a](const std::string& text) { return parse_prefix(text, a.prefix); });
    add_choice<bool>(app, "--moves", b.moves, {{"on", true}, {"off", false}},
                     "on or off: pull copies to where clients look first, too (default on)");
    add_text(app, "--identity", "HOW", b.identity,
             "what orders servers for a block: configuration (default), api (as keep-balance), or position")
        ->check(CLI::IsMember({"configuration", "api", "position"}).description(""));
    add_text(app, "--changes", "FILE", b.changes_file,
             "write each item of the lists to this file, one JSON object a line");
    add_text(app, "--lost", "FILE", b.lost_file, "write blocks that are wanted and have no copy to this file");
    add_duration(app, "--every", b.every, "run again and again, at this interval");
    add_duration(app, "--wait", b.wait, "wait until the servers have worked off their lists, at most this long");
    add_texts(app, "--allow-missing", "URL|UUID", b.allow_missing, "although this server or volume is missing");
    add_texts(app, "--allow-changed", "UUID", b.allow_changed, "although this volume is another one, or lost blocks");
    add_parsed(app, "--max-trash", "PERCENT", "trash up to this part of all copies (default: by the rules, 10)",
               [&b](const std::string& text) {
                   return parse_count(text, std::int64_t{0}, std::int64_t{100}, b.trash_percent.emplace());
               });
    add_switch(app, "--allow-fewer-references", b.allow_fewer_references,
               "although there are a fifth fewer references than in the last run");
    add_switch(app, "--allow-permanent-delete", a.allow_permanent_delete,
               "although the servers keep no trash, or it is not known whether they do");
    add_switch(app, "--take-over", b.take_over, "replace the lists of another balancer");
    add_work(app, a);
    add_text(app, "--job", "NAME", a.job, "label of the metrics");
    add_state(app, a);
    add_connection(app, a);
    add_output(app, a);
}

}  // namespace

std::unique_ptr<CLI::App> make_command_tree(arguments& a) {
    auto out = std::make_unique<App>("Looks at keepstores, and copies blocks between servers, directories and buckets.",
                                     "keepctl");
    App& tree = *out;
    tree.require_subcommand(1);
    tree.set_version_flag("--version", "keepctl " KEEPSTORE_VERSION);

    App& status = add_command(tree, a, "status", "show whether servers are ready, their mounts and queues");
    add_parsed(status, "--watch", "DURATION", "show it again and again, with this pause, until a signal",
               [&a](const std::string& text) -> std::string {
                   const auto problem = parse_time_limit(text, a.watch);
                   if (!problem.empty() || *a.watch >= limits::watch_interval_min) return problem;
                   return "found \"" + text + "\"; expected at least 100ms";
               });
    add_connection(status, a);
    add_output(status, a);

    App& ls = add_command(tree, a, "ls", "list blocks and their copies, in the order of their hashes");
    ls.add_option("place-or-prefix", a.listed,
                  "the place (default cluster), and the hex digits with which the hashes of blocks begin")
        ->type_name("PLACE|PREFIX")
        ->expected(0, 2);
    add_place(ls, "--place", a.at, "the same as PLACE");
    add_switch(ls, "-l,--long", a.details, "mounts and times, too");
    add_connection(ls, a);
    add_output(ls, a);

    App& head = add_command(tree, a, "head", "have each server read and verify its copies of blocks");
    add_blocks(head, a, "blocks to be verified")->required();
    add_connection(head, a);
    add_output(head, a);

    App& get = add_command(tree, a, "get", "read a block, verified");
    add_blocks(get, a, "the block")->required();
    add_text(get, "-o,--output", "FILE", a.file, "write to this file (default standard output)");
    add_connection(get, a);
    add_output(get, a);

    App& put = add_command(tree, a, "put", "store a file as a block, and print its locator");
    add_text(put, "file", "FILE", a.file, "the file, - or nothing for standard input");
    add_text(put, "--class", "CLASSES", a.classes, "storage classes, separated by commas");
    add_parsed(put, "--replication", "N", "servers to store it on (default 1)",
               [&a](const std::string& text) { return parse_count(text, 1U, 64U, a.replication.emplace()); });
    add_connection(put, a);
    add_output(put, a);

    App& touch = add_command(tree, a, "touch", "set the time of blocks to now, on every server that has them");
    add_blocks(touch, a, "blocks to be touched")->required();
    add_connection(touch, a);
    add_output(touch, a);

    App& trash = add_command(tree, a, "trash", "move blocks to the trash of every server");
    add_blocks(trash, a, "blocks to be trashed");
    add_text(trash, "--from", "FILE", a.from_file, "blocks named in this file: lines hash[+size], or a failures file");
    add_switch(trash, "-n,--dry-run", a.dry_run, "only show the copies");
    add_switch(trash, "-y,--yes", a.yes, "do not ask");
    add_switch(trash, "--allow-permanent-delete", a.allow_permanent_delete,
               "although the servers keep no trash, or it is not known whether they do");
    add_connection(trash, a);
    add_output(trash, a);

    App& untrash = add_command(tree, a, "untrash", "bring blocks back from the trash, on every server");
    add_blocks(untrash, a, "blocks to be brought back");
    add_text(untrash, "--from", "FILE", a.from_file, "blocks named in this file, also a list of lost blocks");
    add_connection(untrash, a);
    add_output(untrash, a);

    App& compare =
        add_command(tree, a, "compare", "show which blocks of two places differ, by their indexes or by their data");
    add_place(compare, "a", a.source, "a place")->required();
    add_place(compare, "b", a.target, "the place to compare it with")->required();
    add_parsed(compare, "--prefix", "DIGITS", "only blocks whose hash begins with these hex digits",
               [&a](const std::string& text) { return parse_prefix(text, a.prefix); });
    add_text(compare, "--missing", "FILE", a.missing_file, "list the blocks of A that B lacks (- for standard output)");
    add_text(compare, "--extra", "FILE", a.extra_file, "list the blocks of B that A lacks");
    add_text(compare, "--differ", "FILE", a.differ_file, "list the blocks whose sizes or data differ");
    add_text(compare, "--combined", "FILE", a.combined_file,
             "list all blocks: = the same, + missing in B, - missing in A, * different, ! could not be read");
    auto* const data = add_switch(compare, "--data", a.check_data,
                                  "also verify the blocks that both have: servers read and hash them themselves");
    auto* const size_only = add_switch(compare, "--size-only", a.size_only, "compare indexes only (the default)");
    size_only->excludes(data);
    add_parsed(compare, "--subset", "N/T", "only the Nth of T equal parts, by hash; N is 1 to T, and T at most 4096",
               [&a](const std::string& text) { return parse_subset(text, a.subset.emplace()); });
    add_jobs(compare, a, "with --data: blocks verified at a time (default 8)");
    add_memory(compare, a, "with --data: memory for blocks (default 128MiB)");
    add_connection(compare, a);
    add_output(compare, a);

    App& check = add_command(tree, a, "check-config", "show what each server of a configuration would serve");
    add_connection(check, a);
    add_output(check, a);

    App& probe = add_command(tree, a, "probe", "try servers or a bucket step by step, with advice for each failure");
    add_place(probe, "place", a.at, "a server, volume:UUID or a bucket (default cluster)");
    add_connection(probe, a);
    add_output(probe, a);

    App& scrub = add_command(tree, a, "scrub", "start, watch and stop the check of stored blocks on all servers");
    once(scrub.add_option("action", a.action, "start, status, wait or stop")
             ->type_name("ACTION")
             ->required()
             ->check([](const std::string& text) {
                 return text == "start" || text == "status" || text == "wait" || text == "stop"
                            ? std::string()
                            : "found \"" + text + "\"; expected start, status, wait or stop";
             }));
    add_parsed(scrub, "--rate", "SIZE", "with start: bytes per second and device until its end; 0 is no limit",
               [&a](const std::string& text) {
                   a.rate = cluster_config::parse_byte_size(text);
                   return a.rate ? std::string() : "found \"" + text + "\"; expected a size such as 64MiB";
               });
    add_connection(scrub, a);
    add_output(scrub, a);

    add_replicate(tree, a);
    add_balance(tree, a);
    add_clone(tree, a);
    add_snapshot(tree, a);

    App& completion = add_command(tree, a, "completion", "print the completion of a shell");
    once(completion.add_option("shell", a.action, "bash, zsh or fish")
             ->type_name("SHELL")
             ->required()
             ->check([](const std::string& text) {
                 return text == "bash" || text == "zsh" || text == "fish"
                            ? std::string()
                            : "found \"" + text + "\"; expected bash, zsh or fish";
             }));
    App& man = add_command(tree, a, "man", "print the manual page, or that of a command");
    man.add_option_function<std::vector<std::string>>(
           "command", [&a](const auto& words) { a.action = fmt::format("{}", fmt::join(words, " ")); }, "a command")
        ->type_name("COMMAND")
        ->expected(1, 2);
    return out;
}

}  // namespace keepstore::keepctl
