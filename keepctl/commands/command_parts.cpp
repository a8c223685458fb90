#include "keepctl/commands/command_parts.hpp"

#include "base/hex.hpp"
#include "base/join.hpp"
#include "cluster_config/scalars.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/commands/command_words.hpp"
#include "protocol/locator.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {

using CLI::App;
using CLI::Option;

namespace {

std::string parse_prefix(const std::string& text, std::string& into) {
    if (text.size() > 32 || !is_lower_hex(text))
        return fmt::format("found \"{}\"; expected at most 32 lower-case hex digits", text);
    into = text;
    return {};
}

std::string parse_subset(const std::string& text, shard_subset& into) {
    const auto slash = text.find('/');
    constexpr auto parts_max = static_cast<unsigned>(shard_count(limits::shard_digits_max));
    if (slash != std::string::npos && parse_count(text.substr(slash + 1), 1U, parts_max, into.of).empty() &&
        parse_count(text.substr(0, slash), 1U, into.of, into.number).empty())
        return {};
    return fmt::format("found \"{}\"; expected N/T such as 1/16, N from 1 to T and T at most {}", text, parts_max);
}

}  // namespace

std::string parse_time_limit(const std::string& text, std::optional<std::chrono::nanoseconds>& into) {
    into = cluster_config::parse_duration(text);
    if (!into || into->count() <= 0) return fmt::format("found \"{}\"; expected a duration such as 30s or 1h30m", text);
    return {};
}

Option* once(Option* option) {
    return option->multi_option_policy(CLI::MultiOptionPolicy::Throw);
}

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
    return add_parsed(app, name, "PLACE", help,
                      [&into](const std::string& text) { return keep_parsed(parse_place(text), into); });
}

void add_jobs(App& app, arguments& a, const std::string& help) {
    add_parsed(app, "--jobs", "N", help, [&a](const std::string& text) {
        return parse_count(text, 1U, limits::keepctl_jobs_max, a.jobs.emplace());
    });
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

void add_bandwidth(App& app, arguments& a, std::uint64_t least, const std::string& help) {
    add_parsed(app, "--bandwidth", "SIZE", help + " (default: no limit)", [&a, least](const std::string& text) {
        const auto size = cluster_config::parse_byte_size(text);
        if (!size || *size < least)
            return fmt::format(
                "found \"{}\"; expected a size from {}", text,
                least % MiB == 0 ? fmt::format("{}MiB", least / MiB) : fmt::format("{}KiB", least / KiB));
        a.bandwidth = *size;
        return std::string();
    });
}

void add_subset(App& app, arguments& a) {
    add_parsed(app, "--subset", "N/T", "only the Nth of T equal parts, by hash; N is 1 to T, and T at most 4096",
               [&a](const std::string& text) { return parse_subset(text, a.subset.emplace()); });
}

Option* add_blocks(App& app, arguments& a, const std::string& help) {
    return app.add_option("hash", a.blocks, help)->type_name("HASH[+SIZE]")->check([](const std::string& text) {
        return protocol::locator::parse(text) ? std::string() : fmt::format("\"{}\" is no hash or hash+size", text);
    });
}

Option* add_choice(App& app, const std::string& name, std::string& into, std::vector<std::string> values,
                   const std::string& help) {
    return add_parsed(app, name, "HOW", help, [&into, values = std::move(values)](const std::string& text) {
        if (std::ranges::find(values, text) == values.end())
            return fmt::format("found \"{}\"; expected {}", text, join(values, ", "));
        into = text;
        return std::string();
    });
}

void add_prefix(App& app, arguments& a) {
    add_parsed(app, "--prefix", "DIGITS", "only blocks whose hash begins with these hex digits",
               [&a](const std::string& text) { return parse_prefix(text, a.prefix); });
}

void add_replication(App& app, arguments& a, const std::string& help) {
    add_parsed(app, "--replication", "N", help,
               [&a](const std::string& text) { return parse_count(text, 1U, 64U, a.replication.emplace()); });
}

void add_digits(App& app, arguments& a, const std::string& what) {
    add_parsed(
        app, "--digits", "N", "cut the " + what + " by this many hex digits (default: by the number of blocks)",
        [&a](const std::string& text) { return parse_count(text, 0U, limits::shard_digits_max, a.digits.emplace()); });
}

void add_only(App& app, arguments& a) {
    add_text(app, "--only", "FILE", a.only_file,
             "only the blocks named in this file: lines hash[+size], or a failures file");
}

Option* add_texts(App& app, const std::string& name, const std::string& value_name, std::vector<std::string>& into,
                  const std::string& help) {
    return app.add_option(name, into, help + "; may be repeated")->type_name(value_name)->allow_extra_args(false);
}

void add_connection(App& app, arguments& a) {
    const auto group = [](Option* option) { return option->group("Servers and tokens"); };
    group(once(app.add_option("--config", a.config,
                              "cluster configuration file, - for standard input (default $ARVADOS_CONFIG, else "
                              "/etc/arvados/config.yml if it is there)")
                   ->type_name("FILE")));
    group(app.add_option("--server", a.servers, "a server, instead of those of the configuration; may be repeated")
              ->type_name("URL[=UUID]")
              ->allow_extra_args(false));
    group(add_text(app, "--token-file", "FILE", a.token_file,
                   "file with the SystemRootToken (default $KEEPCTL_TOKEN, $ARVADOS_API_TOKEN, the configuration's)"));
    group(add_text(app, "--signing-key-file", "FILE", a.signing_key_file,
                   "file with the BlobSigningKey (default the configuration's)"));
    group(add_text(app, "--management-token-file", "FILE", a.management_token_file,
                   "file with the ManagementToken (default the configuration's)"));
    group(
        add_text(app, "--ca-file", "FILE", a.ca_file, "certificate authorities to trust, PEM (default the system's)"));
    group(add_switch(app, "--tls-insecure", a.tls_insecure, "accept any certificate; for tests"));
    add_output(app, a);
}

void add_output(App& app, arguments& a) {
    const auto group = [](Option* option) { return option->group("Output"); };
    auto* const json =
        group(once(app.add_flag_callback("--json", [&a] { a.shape = output_shape::json; }, "one JSON object a line")));
    group(
        once(app.add_flag_callback(
                 "--plain", [&a] { a.shape = output_shape::plain; }, "one record a line, separated by tabs, no header"))
            ->excludes(json));
    group(add_switch(app, "-q,--quiet", a.quiet, "no progress and no notes"));
    group(add_switch(app, "--no-color", a.no_color, "no bold text on a terminal (also with $NO_COLOR)"));
    group(app.add_flag("-v,--verbose", a.verbose, "more about what goes on; may be repeated"));
    add_duration(app, "--timeout", a.timeout, "end the whole command after this long");
}

App& add_command(App& tree, arguments& a, const std::string& name, const std::string& summary) {
    App& out = *tree.add_subcommand(name, summary);
    out.callback([&a, &out] { a.command = full_name(out); });
    return out;
}

void add_progress(App& app, arguments& a) {
    add_choice<progress_shape>(app, "--progress", a.progress,
                               {{"auto", progress_shape::automatic},
                                {"line", progress_shape::line},
                                {"plain", progress_shape::plain},
                                {"json", progress_shape::json},
                                {"none", progress_shape::none}},
                               "auto, line, plain, json or none");
}

void add_work(App& app, arguments& a) {
    add_memory(app, a, "memory for blocks and indexes (default 128MiB)");
    add_digits(app, a, "work");
}

void add_metrics_file(App& app, arguments& a) {
    add_text(app, "--metrics-file", "FILE", a.metrics_path,
             "write metrics of the run to this file, for the textfile collector of Prometheus' node exporter");
}

void add_state(App& app, arguments& a) {
    add_metrics_file(app, a);
    add_text(app, "--state-dir", "FOLDER", a.state_folder,
             "where the run is remembered (default $STATE_DIRECTORY, /var/lib/keepctl, $XDG_STATE_HOME/keepctl)");
    add_progress(app, a);
}

void add_give_up_after(App& app, arguments& a) {
    add_duration(app, "--give-up-after", a.give_up_after,
                 "end the run when a place has failed for this long without a success (default 15m)");
}

void add_run(App& app, arguments& a) {
    add_work(app, a);
    add_give_up_after(app, a);
    add_text(app, "--failures", "FILE", a.failures_file,
             "write blocks that failed to this file, one JSON object a line");
    add_switch(app, "--fresh", a.fresh, "begin anew, although an earlier run did not finish");
    add_switch(app, "--allow-empty-source", a.allow_empty_source, "a source without any block is no mistake");
    add_switch(app, "--error-on-no-change", a.error_on_no_change, "exit code 9 if nothing had to be copied");
    add_state(app, a);
}

}  // namespace keepstore::keepctl
