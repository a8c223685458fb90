#include "keepctl/commands/command_parts.hpp"

#include "base/join.hpp"
#include "cluster_config/scalars.hpp"

namespace keepstore::keepctl {

using CLI::App;

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

    App& ls = add_command(tree, a, "ls", "list blocks and their copies, in the order of their hashes");
    ls.add_option("place-or-prefix", a.listed,
                  "the place (default cluster), and the hex digits with which the hashes of blocks begin")
        ->type_name("PLACE|PREFIX")
        ->option_text("[PLACE] [PREFIX]")
        ->expected(0, 2);
    add_place(ls, "--place", a.at, "the same as PLACE");
    add_switch(ls, "-l,--long", a.details, "mounts and times, too");
    add_connection(ls, a);

    App& head = add_command(tree, a, "head", "have each server read and verify its copies of blocks");
    add_blocks(head, a, "blocks to be verified")->required();
    add_connection(head, a);

    App& get = add_command(tree, a, "get", "read a block, verified");
    add_blocks(get, a, "the block")->required()->expected(1)->option_text("HASH[+SIZE]");
    add_text(get, "-o,--output", "FILE", a.file, "write to this file (default standard output)");
    add_connection(get, a);

    App& put = add_command(tree, a, "put", "store a file as a block, and print its locator");
    add_text(put, "file", "FILE", a.file, "the file, - or nothing for standard input");
    add_text(put, "--class", "CLASSES", a.classes, "storage classes, separated by commas");
    add_replication(put, a, "servers to store it on (default 1)");
    add_switch(put, "-n,--dry-run", a.dry_run, "only print the locator");
    add_connection(put, a);

    App& touch = add_command(tree, a, "touch", "set the time of blocks to now, on every server that has them");
    add_blocks(touch, a, "blocks to be touched")->required();
    add_switch(touch, "-n,--dry-run", a.dry_run, "only show the copies");
    add_connection(touch, a);

    App& trash = add_command(tree, a, "trash", "move blocks to the trash of every server");
    add_blocks(trash, a, "blocks to be trashed");
    add_text(trash, "--from", "FILE", a.from_file, "blocks named in this file: lines hash[+size], or a failures file");
    add_switch(trash, "-n,--dry-run", a.dry_run, "only show the copies");
    add_switch(trash, "-y,--yes", a.yes, "do not ask");
    add_switch(trash, "--allow-permanent-delete", a.allow_permanent_delete,
               "although the servers keep no trash, or it is not known whether they do");
    add_connection(trash, a);

    App& untrash = add_command(tree, a, "untrash", "bring blocks back from the trash, on every server");
    add_blocks(untrash, a, "blocks to be brought back");
    add_text(untrash, "--from", "FILE", a.from_file, "blocks named in this file, also a list of lost blocks");
    add_switch(untrash, "-n,--dry-run", a.dry_run, "only show the copies that are there");
    add_connection(untrash, a);

    App& compare =
        add_command(tree, a, "compare", "show which blocks of two places differ, by their indexes or by their data");
    add_place(compare, "a", a.source, "a place")->required();
    add_place(compare, "b", a.target, "the place to compare it with")->required();
    add_prefix(compare, a);
    add_text(compare, "--missing", "FILE", a.missing_file, "list the blocks of A that B lacks (- for standard output)");
    add_text(compare, "--extra", "FILE", a.extra_file, "list the blocks of B that A lacks");
    add_text(compare, "--differ", "FILE", a.differ_file, "list the blocks whose sizes or data differ");
    add_text(compare, "--combined", "FILE", a.combined_file,
             "list all blocks: = the same, + missing in B, - missing in A, * different, ! could not be read");
    auto* const data = add_switch(compare, "--data", a.check_data,
                                  "also verify the blocks that both have: servers read and hash them themselves");
    auto* const size_only = add_switch(compare, "--size-only", a.size_only, "compare indexes only (the default)");
    size_only->excludes(data);
    add_subset(compare, a);
    add_jobs(compare, a, "with --data: blocks verified at a time (default 8)");
    add_memory(compare, a, "with --data: memory for blocks (default 128MiB)");
    add_connection(compare, a);

    App& check = add_command(tree, a, "check-config", "show what each server of a configuration would serve");
    add_connection(check, a);

    App& probe = add_command(tree, a, "probe", "try servers or a bucket step by step, with advice for each failure");
    add_place(probe, "place", a.at, "a server, volume:UUID or a bucket (default cluster)");
    add_connection(probe, a);

    App& scrub = add_command(tree, a, "scrub", "start, watch and stop the check of stored blocks on all servers");
    add_choice(scrub, "action", a.action, {"start", "status", "wait", "stop"}, "start, status, wait or stop")
        ->type_name("ACTION")
        ->required();
    add_parsed(scrub, "--rate", "SIZE", "with start: bytes per second and device until its end; 0 is no limit",
               [&a](const std::string& text) {
                   a.rate = cluster_config::parse_byte_size(text);
                   return a.rate ? std::string() : "found \"" + text + "\"; expected a size such as 64MiB";
               });
    add_switch(scrub, "-n,--dry-run", a.dry_run, "start and stop do what status does");
    add_connection(scrub, a);

    add_replicate(tree, a);
    add_balance(tree, a);
    add_clone(tree, a);
    add_snapshot(tree, a);

    App& completion = add_command(tree, a, "completion", "print the completion of a shell");
    add_choice(completion, "shell", a.action, {"bash", "zsh", "fish"}, "bash, zsh or fish")
        ->type_name("SHELL")
        ->required();
    App& man = add_command(tree, a, "man", "print the manual page, or that of a command");
    man.add_option_function<std::vector<std::string>>(
           "command", [&a](const auto& words) { a.action = join(words, " "); }, "a command")
        ->type_name("COMMAND")
        ->expected(1, 2);
    return out;
}

}  // namespace keepstore::keepctl
