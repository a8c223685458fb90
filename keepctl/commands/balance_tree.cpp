// The options of balance.
#include "keepctl/commands/command_parts.hpp"
#include "keepctl/snapshot/snapshot_id.hpp"

namespace keepstore::keepctl {
namespace {

/// REPOSITORY, REPOSITORY#ID, or REPOSITORY#all.
std::string parse_kept_snapshots(const std::string& text, std::optional<kept_snapshots>& into) {
    const auto hash = text.find('#');
    auto repository = parse_repository_place(text.substr(0, hash));
    if (!repository) return std::move(repository.error());
    const auto which = hash == std::string::npos ? std::string("latest") : text.substr(hash + 1);
    if (which != "latest" && which != "all" && !snapshot_id::parse(which))
        return "found \"" + which + "\" after #; expected an id such as 20261121T031500Z-7f3a9c2e51d04b68, or all";
    into = kept_snapshots{.repository = std::move(*repository), .id = which, .all = which == "all"};
    return {};
}

}  // namespace

using CLI::App;

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
    add_parsed(app, "--keep-snapshots", "REPOSITORY[#ID|#all]",
               "blocks of this snapshot (default the latest), or of all, are referenced as the rules say",
               [&b](const std::string& text) { return parse_kept_snapshots(text, b.keep_snapshots); });
    add_prefix(app, a);
    add_choice<bool>(app, "--moves", b.moves, {{"on", true}, {"off", false}},
                     "on or off: pull copies to where clients look first, too (default on)");
    add_text(app, "--identity", "HOW", b.identity,
             "what orders servers for a block: configuration (default), api (as keep-balance), or position")
        ->check(CLI::IsMember({"configuration", "api", "position"}).description(""));
    add_text(app, "--changes", "FILE", b.changes_file,
             "write each item of the lists to this file, one JSON object a line");
    add_text(app, "--lost", "FILE", b.lost_file,
             "write blocks that are wanted and have no copy to this file (default with --apply: BlobMissingReport)");
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
    add_switch(app, "--verify-kept", b.verify_kept,
               "before copies of a block are trashed, have a server read and verify one that is kept");
    add_jobs(app, a, "with --verify-kept: blocks verified at a time (default 8)");
    add_switch(app, "--take-over", b.take_over, "replace the lists of another balancer");
    add_work(app, a);
    add_text(app, "--job", "NAME", a.job, "label of the metrics");
    add_state(app, a);
    add_connection(app, a);
}

}  // namespace keepstore::keepctl
