#include "keepctl/cluster/server_status.hpp"

#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/progress.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

namespace keepstore::keepctl {
namespace {

// Digits of a configuration's hash that are shown: enough to tell two apart.
constexpr std::size_t hash_digits = 8;
// Of a terminal: ECMA-48's CUP and ED.
constexpr std::string_view clear_screen = "\x1b[H\x1b[2J";

/// The configuration hash that most servers have; empty if there is none that has more of them than any other.
std::string usual_config(const std::vector<server_status>& all) {
    std::map<std::string, int> votes;
    for (const auto& s : all) {
        if (s.config_sha256) ++votes[*s.config_sha256];
    }
    const auto most = std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
    if (most == votes.end()) return {};
    const bool alone = std::ranges::count(votes, most->second, [](const auto& vote) { return vote.second; }) == 1;
    return alone ? most->first : std::string();
}

std::string scrub_text(const mount_status& m) {
    std::string out = m.scrub_percent ? fmt::format("{}%", *m.scrub_percent) : "idle";
    if (*m.irreparable > 0) out += fmt::format(", {} irreparable", *m.irreparable);
    return out;
}

std::string clock_text(std::chrono::seconds ahead) {
    return ahead.count() == 0 ? "0s" : fmt::format("{:+}s", ahead.count());
}

/// People read units, programs bytes.
cell free_text(const output& out, const mount_status& m) {
    if (!m.free_bytes) return {};
    if (out.shape() != output_shape::columns) return *m.free_bytes;
    return short_bytes(static_cast<std::uint64_t>(*m.free_bytes));
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
                           {"state", state},
                           {"version", s.version},
                           {"clock", s.clock_ahead ? cell(clock_text(*s.clock_ahead)) : cell()},
                           {"config", s.config_sha256 ? cell(s.config_sha256->substr(0, hash_digits)) : cell()},
                           {"requests", s.requests},
                           {"oldest_seconds", s.oldest_request_seconds},
                           {"pulls_pending", s.pulls_pending},
                           {"pulls_running", s.pulls_running},
                           {"trash_pending", s.trash_pending},
                           {"trash_running", s.trash_running},
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
            const auto found = s.mount_states.find(m.uuid);
            const mount_status state = found == s.mount_states.end() ? mount_status() : found->second;
            out.add("mount", {{"mount", m.uuid},
                              {"server", m.server},
                              {"classes", classes},
                              {"replication", m.replication},
                              {"writes", m.allow_write},
                              {"trash", m.allow_trash},
                              {"health", state.health},
                              {"free", free_text(out, state)},
                              {"scrub", state.irreparable ? cell(scrub_text(state)) : cell()},
                              {"device", m.device_id}});
        }
    }
}

void begin_round(output& out) {
    const auto at = time_text(std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
    if (out.on_screen()) out.write(clear_screen);
    out.say(at);
    if (out.shape() != output_shape::columns) out.add("round", {{"at", at}});
}

awaitable<outcome<exit_code>> show_status(session& s, const std::vector<keep_server>& servers) {
    const auto interval = s.given().watch;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    auto& out = s.out();
    std::vector<server_status> all;
    while (true) {
        auto found = co_await all_at_once(servers.size(), [&](std::size_t i) {
            return ask_status(servers[i], deadline::in(limits::keepctl_status_timeout));
        });
        if (!found) break;
        all = std::move(*found);
        if (interval) begin_round(out);
        show_servers(out, servers, all);
        show_mounts(out, all);
        if (!interval) break;
        out.flush();
        timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(*interval));
        if (const auto [failed] = co_await expiry(timer); failed) break;
    }
    // Of the last round.
    const auto reached = std::ranges::count_if(all, &server_status::reachable);
    const bool all_ready =
        std::ranges::all_of(all, [](const auto& x) { return x.reachable && x.ready.value_or(true); });
    const auto code = reached == 0 ? exit_code::unreachable : all_ready ? exit_code::done : exit_code::some_failed;
    co_return out.end(code, {{"servers", servers.size()}, {"reachable", reached}});
}

}  // namespace

outcome<exit_code> run_status(session& s) {
    KS_TRY(const auto servers, s.servers());
    return s.run(show_status(s, servers));
}

}  // namespace keepstore::keepctl
