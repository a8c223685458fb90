// The manual page, in the macros of man(7).

#include "base/join.hpp"
#include "keepctl/commands/command_words.hpp"
#include "keepctl/commands/describe.hpp"

#include <fmt/format.h>

namespace keepstore::keepctl {
namespace {

constexpr described_word exit_statuses[] = {
    {"0", "all done, or nothing to do"},
    {"1", "finished; some blocks failed, are missing or differ"},
    {"2", "the command line, the configuration or an input file is wrong; nothing was done"},
    {"3", "nothing could be reached or authenticated; nothing was done"},
    {"4", "withheld for safety; the text names the option that overrides it"},
    {"5", "lost a race, or the same command is running already"},
    {"6", "not finished: a listing was incomplete, a server gone, the destination full, --timeout"},
    {"9", "with --error-on-no-change: success, and nothing had to be changed"},
    {"130, 143", "stopped by SIGINT, SIGTERM"},
};

constexpr described_word environment_variables[] = {
    {"ARVADOS_CONFIG", "the configuration, without --config"},
    {"KEEPCTL_TOKEN, ARVADOS_API_TOKEN", "the root token, without --token-file; the first one that is set"},
    {"STATE_DIRECTORY, XDG_STATE_HOME", "where runs are remembered, without --state-dir"},
    {"AWS_*", "keys and profiles of buckets, see docs/s3.md"},
    {"NO_COLOR, TERM", "no bold text; no control sequences if TERM is dumb"},
};

/// Text for roff: backslashes, hyphens, and control characters at the beginning of a line.
std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else
            out += c;
    }
    return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

void append_item(std::string& out, std::string_view title, std::string_view text) {
    out += fmt::format(".TP\n{}\n{}\n", title, roff(text));
}

void append_list(std::string& out, std::string_view section, std::span<const described_word> words) {
    out += fmt::format(".SH {}\n", section);
    for (const auto& [name, meaning] : words) append_item(out, "\\fB" + roff(name) + "\\fR", meaning);
}

void append_command(std::string& out, const CLI::App& command, std::string_view level) {
    const auto name = roff(full_name(command));
    out += fmt::format(".{} {}\n{}.\n.PP\n.B keepctl {}\n[\\fIOPTIONS\\fR]", level, name,
                       roff(command.get_description()), name);
    for (const auto* p : positionals_of(command)) out += fmt::format(" \\fI{}\\fR", roff(usage_word(*p)));
    out += '\n';
    if (!command.get_footer().empty()) out += fmt::format(".PP\n.nf\n{}\n.fi\n", roff(command.get_footer()));
    for (const auto* p : positionals_of(command))
        append_item(out, fmt::format("\\fI{}\\fR", roff(upper_case(p->get_name()))), p->get_description());
    for (const auto* o : options_of(command)) {
        const auto value = takes_value(*o) ? fmt::format(" \\fI{}\\fR", roff(o->get_type_name())) : std::string();
        append_item(out, fmt::format("\\fB{}\\fR{}", roff(join(names_of(*o), ", ")), value), o->get_description());
    }
}

}  // namespace

std::optional<std::string> man_page(std::string_view only) {
    arguments ignored;
    const auto tree = make_command_tree(ignored);
    auto commands = runnable_commands(*tree);
    // A group is all of its commands.
    std::erase_if(commands, [&](const CLI::App* c) {
        return !only.empty() && full_name(*c) != only && !full_name(*c).starts_with(std::string(only) + ' ');
    });
    if (commands.empty()) return std::nullopt;
    std::string out = fmt::format(
        ".TH KEEPCTL 1 \"\" \"keepctl {}\" \"Keepstore\"\n.SH NAME\nkeepctl \\- look at keepstores, "
        "and copy blocks\n.SH SYNOPSIS\n.B keepctl\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR] ...\n",
        KEEPSTORE_VERSION);
    bool has_place = false;
    if (only.empty()) out += fmt::format(".SH DESCRIPTION\n{}\n.SH COMMANDS\n", roff(tree->get_description()));
    for (const auto* command : commands) {
        append_command(out, *command, only.empty() ? "SS" : "SH");
        has_place = has_place || takes_place(*command);
    }
    if (has_place) append_list(out, "PLACES", place_forms());
    append_list(out, "EXIT STATUS", exit_statuses);
    append_list(out, "ENVIRONMENT", environment_variables);
    out += ".SH FILES\n";
    append_item(out, "\\fI/etc/arvados/config.yml\\fR", "the configuration, if no other is named");
    append_item(out, "\\fI/var/lib/keepctl\\fR", "runs and jobs of root, see --state-dir");
    out += ".SH SEE ALSO\ndocs/keepctl.md\n";
    return out;
}

}  // namespace keepstore::keepctl
