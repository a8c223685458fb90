// The description of the snapshot commands; their code is in snapshot*.cpp.

#include "cluster_config/scalars.hpp"
#include "keepctl/commands/command_parts.hpp"
#include "protocol/locator.hpp"

#include <utility>

namespace keepstore::keepctl {
namespace {

using CLI::App;

void add_repository(App& app, arguments& a) {
    add_parsed(
        app, "repository", "REPOSITORY", "file:///absolute/directory or s3://bucket/prefix?endpoint=URL",
        [&a](const std::string& text) { return keep_parsed(parse_repository_place(text), a.snapshot.repository); })
        ->required();
}

std::string parse_id(const std::string& text, std::string& into) {
    if (text != "latest" && !snapshot_id::parse(text))
        return "found \"" + text + "\"; expected an id such as 20261121T031500Z-7f3a9c2e51d04b68, or latest";
    into = text;
    return {};
}

CLI::Option* add_id(App& app, std::string& into, const std::string& name, const std::string& help) {
    return add_parsed(app, name, "ID", help, [&into](const std::string& text) { return parse_id(text, into); });
}

void add_duration(App& app, const std::string& name, std::chrono::nanoseconds least, std::chrono::nanoseconds most,
                  std::chrono::nanoseconds& into, const std::string& help) {
    add_parsed(app, name, "DURATION", help, [=, &into](const std::string& text) -> std::string {
        const auto parsed = cluster_config::parse_duration(text);
        if (!parsed || *parsed < least || *parsed > most)
            return fmt::format("found \"{}\"; expected a duration from {} to {} hours", text,
                               std::chrono::floor<std::chrono::hours>(least).count(),
                               std::chrono::floor<std::chrono::hours>(most).count());
        into = *parsed;
        return {};
    });
}

CLI::Option* add_block(App& app, arguments& a, const std::string& help) {
    return add_parsed(app, "block", "HASH", help, [&a](const std::string& text) -> std::string {
        if (!protocol::locator::parse(text)) return fmt::format("\"{}\" is no hash or hash+size", text);
        a.blocks = {text};
        return {};
    });
}

App& add_one(App& group, arguments& a, const std::string& name, const std::string& help) {
    App& app = add_command(group, a, name, help);
    add_repository(app, a);
    return app;
}

void add_single_writer(App& app, arguments& a) {
    add_switch(app, "--single-writer", a.snapshot.single_writer,
               "the service has no conditional writes, and nothing else writes to the repository");
}

void add_create(App& group, arguments& a) {
    App& app = add_one(group, a, "create", "list all blocks of a place, and store the list as a snapshot");
    add_place(app, "place", a.at, "what is listed (default cluster)");
    add_digits(app, a, "snapshot");
    add_switch(app, "--allow-empty-source", a.allow_empty_source, "a place without any block is no mistake");
    add_texts(app, "--allow-missing", "UUID", a.snapshot.allow_missing,
              "a mount of the last snapshot that may be gone, be another device, or list far fewer blocks");
    add_duration(app, "--max-duration", std::chrono::nanoseconds(1), limits::create_time_max, a.snapshot.time_max,
                 "give up after this long (default 12h)");
    add_single_writer(app, a);
    add_text(app, "--state-dir", "FOLDER", a.state_folder,
             "where runs lock each other out (default $STATE_DIRECTORY, /var/lib/keepctl, $XDG_STATE_HOME/keepctl)");
    add_metrics_file(app, a);
    add_text(app, "--job", "NAME", a.job, "label of these metrics");
    add_progress(app, a);
    add_connection(app, a);
}

void add_prune(App& group, arguments& a) {
    App& app = add_one(group, a, "prune", "remove snapshots that no rule keeps; the newest always stays");
    const auto count = [&](const std::string& name, std::uint64_t& into, const std::string& help) {
        add_parsed(app, name, "N", help, [&into](const std::string& text) {
            return parse_count<std::uint64_t>(text, 1, limits::snapshots_max, into);
        });
    };
    auto& keep = a.snapshot.keep;
    count("--keep-last", keep.last, "keep the newest N");
    count("--keep-daily", keep.daily, "keep the newest of each of N days");
    count("--keep-weekly", keep.weekly, "keep the newest of each of N weeks");
    count("--keep-monthly", keep.monthly, "keep the newest of each of N months");
    constexpr std::chrono::hours longest{100 * 366 * 24};
    keepctl::add_duration(app, "--keep-within", keep.within, "keep all that are not older");
    add_duration(app, "--grace", std::chrono::nanoseconds(0), longest, a.snapshot.grace,
                 "delete the data of a removed snapshot after this long (default 1h)");
    add_switch(app, "-n,--dry-run", a.dry_run, "only show each snapshot with the rules that keep it");
    add_single_writer(app, a);
    add_output(app, a);
}

void add_restore(App& group, arguments& a) {
    App& app = add_one(group, a, "restore", "bring back the blocks of a snapshot that a place lacks; never deletes");
    add_id(app, a.snapshot.id, "id", "the snapshot, or latest")->required();
    add_place(app, "place", a.at, "the place")->required();
    app.add_option_function<std::vector<std::string>>(
           "--from",
           [&a](const std::vector<std::string>& words) {
               for (const auto& word : words) {
                   auto parsed = parse_place(word);
                   if (!parsed) throw CLI::ValidationError("--from", parsed.error());
                   a.snapshot.from.push_back(std::move(*parsed));
               }
           },
           "copy what is not in the trash from here; may be repeated: the first that has a good copy")
        ->type_name("PLACE")
        ->allow_extra_args(false);
    add_only(app, a);
    add_switch(app, "-n,--dry-run", a.dry_run, "only show the missing blocks, and which place to copy from lists them");
    add_text(app, "--class", "CLASSES", a.classes, "storage classes of copies, if the place is a server");
    add_replication(app, a,
                    "copies to make of a block that is copied, if the place is `cluster` (default DefaultReplication)");
    add_jobs(app, a, "blocks under way at a time (default 8)");
    add_bandwidth(app, a, limits::keepctl_bandwidth_min, "bytes of blocks per second that are copied from each place");
    add_memory(app, a, "memory for blocks and indexes (default 128MiB)");
    add_give_up_after(app, a);
    add_text(app, "--failures", "FILE", a.failures_file,
             "write blocks that are not restored to this file, one JSON object a line");
    add_switch(app, "--fresh", a.fresh, "begin anew, although an earlier run did not finish");
    add_state(app, a);
    add_text(app, "--job", "NAME", a.job, "label of the metrics");
    add_connection(app, a);
}

}  // namespace

void add_snapshot(CLI::App& tree, arguments& a) {
    App& group = *tree.add_subcommand("snapshot", "keep lists of all blocks and copies in a repository");
    group.require_subcommand(1);

    App& init = add_one(group, a, "init", "make a repository in an empty place");
    add_single_writer(init, a);
    add_connection(init, a);

    add_create(group, a);

    App& list = add_one(group, a, "list", "show the snapshots of a repository");
    add_switch(list, "--orphans", a.snapshot.orphans, "instead, show folders that are not listed");
    add_output(list, a);

    App& show = add_one(group, a, "show", "show one snapshot");
    add_id(show, a.snapshot.id, "id", "the snapshot, or latest")->required();
    CLI::Option* const mounts = add_switch(show, "--mounts", a.snapshot.mounts, "instead, its mounts");
    add_switch(show, "--blocks", a.snapshot.blocks, "instead, its blocks, in the order of their hashes")
        ->excludes(mounts);
    add_output(show, a);

    App& diff = add_one(group, a, "diff", "show which blocks came, went or lost copies between two snapshots");
    add_id(diff, a.snapshot.id, "a", "a snapshot")->required();
    add_id(diff, a.snapshot.other, "b", "the one to compare it with")->required();
    add_output(diff, a);

    App& find = add_one(group, a, "find", "show which snapshots have a block, and where it was");
    add_block(find, a, "the block")->required();
    add_output(find, a);

    App& check = add_one(group, a, "check", "check whether snapshots are whole");
    add_id(check, a.snapshot.id, "id", "only this one, or latest (default all)");
    add_switch(check, "--read", a.snapshot.read, "read all data, and check digests, checksums and order");
    add_output(check, a);

    add_prune(group, a);

    App& verify = add_one(group, a, "verify", "compare a snapshot with what a place has now");
    add_id(verify, a.snapshot.id, "id", "the snapshot, or latest")->required();
    add_place(verify, "place", a.at, "the place")->required();
    add_text(verify, "--new", "FILE", a.snapshot.new_file,
             "list the blocks that the snapshot lacks (- for standard output)");
    add_switch(verify, "--data", a.check_data,
               "also verify the blocks that are there: servers read and hash them themselves");
    add_subset(verify, a);
    add_jobs(verify, a, "with --data: blocks verified at a time (default 8)");
    add_memory(verify, a, "with --data: memory for blocks (default 128MiB)");
    add_connection(verify, a);

    add_restore(group, a);

    App& adopt = add_one(group, a, "adopt", "list a snapshot that is complete, but not listed");
    add_id(adopt, a.snapshot.id, "id", "the snapshot")->required();
    add_single_writer(adopt, a);
    add_output(adopt, a);
}

}  // namespace keepstore::keepctl
