/// keepctl: the operator's tool. See docs/keepctl.md.

#include "cluster_config/environment.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/describe.hpp"
#include "keepctl/commands/parser.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace {

using namespace keepstore;
using namespace keepstore::keepctl;

struct command_entry {
    std::string_view name;
    command_function run;
    bool needs_servers;
};
constexpr command_entry all_commands[] = {
    {"status", run_status, true},
    {"ls", run_ls, true},
    {"head", run_head, true},
    {"get", run_get, true},
    {"put", run_put, true},
    {"touch", run_touch, true},
    {"trash", run_trash, true},
    {"untrash", run_untrash, true},
    {"scrub", run_scrub, true},
    {"check-config", run_check_config, true},
    {"probe", run_probe, true},
    {"compare", run_compare, false},
    {"replicate", run_replicate, false},
    {"clone", run_clone, false},
    {"balance", run_balance, true},
    {"snapshot init", run_snapshot_init, true},
    {"snapshot create", run_snapshot_create, true},
    {"snapshot list", run_snapshot_list, false},
    {"snapshot show", run_snapshot_show, false},
    {"snapshot diff", run_snapshot_diff, false},
    {"snapshot find", run_snapshot_find, false},
    {"snapshot check", run_snapshot_check, false},
    {"snapshot verify", run_snapshot_verify, true},
    {"snapshot restore", run_snapshot_restore, true},
    {"snapshot prune", run_snapshot_prune, false},
    {"snapshot adopt", run_snapshot_adopt, false},
};

bool about_servers(const std::optional<place>& p) {
    return p && !std::holds_alternative<directory_place>(p->where) && !std::holds_alternative<bucket_place>(p->where);
}

exit_code run_command(const arguments& given, output& out) {
    if (given.command == "completion" || given.command == "man") {
        const auto text = given.command == "man" ? man_page(given.action) : completion_script(given.action);
        // The parser knows the shells; a command it need not know.
        if (text)
            out.write(*text);
        else
            out.error("no command \"" + given.action + "\"", exit_code::usage);
        return exit_code::done;
    }
    for (const auto& command : all_commands) {
        if (command.name != given.command) continue;
        session s(given, out);
        const bool needed = (command.needs_servers && (!given.at || about_servers(given.at))) ||
                            about_servers(given.source) || about_servers(given.target) ||
                            std::ranges::any_of(given.snapshot.from, about_servers);
        const auto ready = s.prepare(needed);
        const auto end = ready ? command.run(s) : std::unexpected(ready.error());
        return end ? *end : s.end_with(end.error());
    }
    return exit_code::usage;
}

/// Ends a program whose command line asks for nothing that is left to do, or is wrong.
int end_of(const parse_end& end, std::span<const std::string> words) {
    const bool wrong = end.exit_code != 0;
    const bool json = wrong && std::ranges::find(words, "--json") != words.end();
    const bool named = !words.empty() && !words.front().starts_with('-');
    output out(named ? words.front() : std::string(), json ? output_shape::json : output_shape::columns, false);
    if (wrong)
        out.usage(end.text);
    else
        out.write(end.text);
    return static_cast<int>(out.finish(exit_code::done));
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0);  // Core files would hold keys.
    cluster_config::trust_arvados_authorities();
    const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    const auto parsed = parse_arguments(words);
    if (const auto* const end = std::get_if<parse_end>(&parsed)) {
        return end_of(*end, words);
    }
    const auto& given = std::get<arguments>(parsed);
    // Volumes log what the results say in other words.
    log::configure({.threshold = given.verbose > 1   ? log::level::debug
                                 : given.verbose > 0 ? log::level::info
                                                     : log::level::fatal,
                    .shape = log::format::text,
                    .cluster_id = {},
                    .pid = false});
    log::set_ceiling(log::level::warning);
    output out(given.command, given.shape, given.quiet, style_of(STDOUT_FILENO, given.no_color),
               style_of(STDERR_FILENO, given.no_color));
    auto code = exit_code::done;
    try {
        code = run_command(given, out);
    } catch (const std::bad_alloc&) {
        out.error("out of memory; try a smaller --memory or fewer --jobs", exit_code::not_finished);
    } catch (const std::exception& e) {
        out.error(std::string("unexpected failure: ") + e.what(), exit_code::not_finished);
    }
    log::flush();
    return static_cast<int>(out.finish(code));
}
