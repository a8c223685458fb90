#include "keepctl/cluster/server_status.hpp"

#include "base/when_all.hpp"
#include "keepctl/commands/commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace keepstore::keepctl {
namespace {

// Digits of a configuration's hash that are shown: enough to tell two apart.
constexpr std::size_t hash_digits = 8;

awaitable<void> ask_one(const keep_server& server, server_status& out) {
    out = co_await ask_status(server, deadline::in(limits::keepctl_status_timeout));
}

cell number(const std::optional<std::int64_t>& n) {
    return n ? cell(*n) : cell();
}

/// The configuration hash that most servers have.
std::string usual_config(const std::vector<server_status>& all) {
    std::map<std::string, int> votes;
    for (const auto& s : all) {
        if (s.config_sha256) ++votes[*s.config_sha256];
    }
    const auto most = std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
    return most == votes.end() ? std::string() : most->first;
}

void show_servers(output& out, const std::vector<keep_server>& servers, const std::vector<server_status>& all) {
    const std::string usual = usual_config(all);
    for (std::size_t i = 0; i < servers.size(); ++i) {
        const auto& s = all[i];
        const std::string_view state = !s.reachable ? "unreachable"
                                       : !s.ready   ? "up"
                                       : *s.ready   ? "ready"
                                                    : "not ready";
        std::vector<std::string> notes = s.reasons;
        if (!s.problem.empty()) notes.push_back(s.problem);
        if (s.config_sha256 && *s.config_sha256 != usual)
            notes.emplace_back("configuration differs from that of the others");
        out.add("server", {{"server", servers[i].url()},
                           {"state", std::string(state)},
                           {"version", s.version ? cell(*s.version) : cell()},
                           {"clock", s.clock_ahead ? cell(fmt::format("{:+}s", s.clock_ahead->count())) : cell()},
                           {"config", s.config_sha256 ? cell(s.config_sha256->substr(0, hash_digits)) : cell()},
                           {"requests", number(s.requests)},
                           {"pulls_pending", number(s.pulls_pending)},
                           {"pulls_running", number(s.pulls_running)},
                           {"trash_pending", number(s.trash_pending)},
                           {"trash_running", number(s.trash_running)},
                           {"notes", notes}});
    }
}

void show_mounts(output& out, const std::vector<server_status>& all) {
    for (const auto& s : all) {
        for (const auto& m : s.mounts) {
            std::vector<std::string> classes;
            for (const auto& [name, yes] : m.classes) {
                if (yes) classes.push_back(name);
            }
            out.add("mount", {{"mount", m.uuid},
                              {"server", m.server},
                              {"classes", classes},
                              {"replication", m.replication},
                              {"writes", m.allow_write},
                              {"trash", m.allow_trash},
                              {"device", m.device_id}});
        }
    }
}

awaitable<exit_code> show_status(session& s, const std::vector<keep_server>& servers) {
    std::vector<server_status> all(servers.size());
    std::vector<awaitable<void>> calls;
    for (std::size_t i = 0; i < servers.size(); ++i) calls.push_back(ask_one(servers[i], all[i]));
    if (co_await when_all(std::move(calls))) co_return exit_code::interrupted;
    show_servers(s.out(), servers, all);
    s.out().say("");
    show_mounts(s.out(), all);
    const auto reached = std::ranges::count_if(all, &server_status::reachable);
    const bool all_ready =
        std::ranges::all_of(all, [](const auto& x) { return x.reachable && x.ready.value_or(true); });
    const auto code = reached == 0 ? exit_code::unreachable : all_ready ? exit_code::done : exit_code::some_failed;
    s.out().end(code, {{"servers", static_cast<std::int64_t>(servers.size())}, {"reachable", reached}});
    co_return code;
}

}  // namespace

exit_code run_status(session& s) {
    const auto servers = s.servers();
    if (!servers) return end_with(s, servers.error());
    return s.run(show_status(s, *servers));
}

exit_code end_with(session& s, const start_error& why) {
    s.out().error(why.text);
    s.out().end(why.code);
    return why.code;
}

}  // namespace keepstore::keepctl
