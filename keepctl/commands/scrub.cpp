#include "keepctl/cluster/scrub_report.hpp"

#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/commands/commands.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

using scrub_response = result<std::vector<scrub_report>>;

awaitable<scrub_response> ask_scrubs(const keep_server& server, std::string method, std::string target) {
    KS_CO_TRY(const auto response, co_await server.request(std::move(method), std::move(target), server.access().token,
                                                           deadline::in(limits::keepctl_request_timeout)));
    if (response.status == 400 || response.status == 404)
        co_return fail(errc::unsupported, server.url() + ": has no scrub; is it another keepstore than ours?");
    if (response.status != 200) co_return std::unexpected(server.refused(response, "/_scrub"));
    auto out = parse_scrubs(response.body);
    if (!out) out.error().text = server.url() + ": " + out.error().text;
    co_return out;
}

using scrub_responses = std::vector<scrub_response>;

bool any_under_way(const scrub_responses& all) {
    return std::ranges::any_of(
        all, [](const scrub_response& a) { return a && std::ranges::any_of(*a, &scrub_report::under_way); });
}

exit_code show_scrubs(output& out, const std::vector<keep_server>& servers, const scrub_responses& all) {
    auto code = exit_code::done;
    std::size_t reached = 0;
    std::int64_t irreparable = 0;
    for (std::size_t i = 0; i < servers.size(); ++i) {
        if (!all[i]) {
            out.error(all[i].error().text, exit_code::not_finished);
            code = worse(code, exit_code::not_finished);
            continue;
        }
        ++reached;
        for (const auto& r : *all[i]) {
            irreparable += r.irreparable;
            if (r.state == "failed") code = worse(code, exit_code::not_finished);
            out.add("scrub", {{"server", servers[i].url()},
                              {"mount", r.mount},
                              {"state", r.state},
                              {"percent", static_cast<std::int64_t>(r.progress * 100)},
                              {"checked", r.blocks_checked},
                              {"bytes", r.bytes_read},
                              {"bad", r.bad + r.unreadable},
                              {"repaired", r.repaired},
                              {"irreparable", r.irreparable},
                              {"last_complete", r.last_complete_at.empty() ? cell() : cell(r.last_complete_at)},
                              {"note", r.reason.empty() ? cell() : cell(r.reason)}});
        }
    }
    out.flush();
    for (std::size_t i = 0; i < servers.size(); ++i) {
        if (!all[i]) continue;
        for (const auto& r : *all[i]) {
            for (const auto& copy : r.irreparable_copies)
                out.add("irreparable", {{"block", copy.block},
                                        {"server", servers[i].url()},
                                        {"mount", r.mount},
                                        {"problem", copy.problem}});
        }
    }
    if (irreparable > 0) code = worse(code, exit_code::some_failed);
    if (reached == 0) code = exit_code::unreachable;
    return out.end(code, {{"irreparable", irreparable}});
}

awaitable<outcome<exit_code>> scrub(session& s, const std::vector<keep_server>& servers) {
    const auto& given = s.given();
    const auto ask = [&](std::string method, std::string target) {
        return all_at_once(servers.size(),
                           [&, method, target](std::size_t i) { return ask_scrubs(servers[i], method, target); });
    };
    const std::string action = given.dry_run && given.action != "wait" ? "status" : given.action;
    const auto rate = action == "start" && given.rate ? fmt::format("?rate={}", *given.rate) : std::string();
    auto all = co_await ask(action == "start" ? "PUT" : action == "stop" ? "DELETE" : "GET", "_scrub" + rate);
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (all && action == "wait" && any_under_way(*all)) {
        timer.expires_after(limits::scrub_poll_interval);
        if (const auto [failed] = co_await expiry(timer); failed) co_return exit_code::interrupted;
        all = co_await ask("GET", "_scrub");
    }
    if (!all) co_return exit_code::interrupted;
    co_return show_scrubs(s.out(), servers, *all);
}

}  // namespace

outcome<exit_code> run_scrub(session& s) {
    KS_TRY(const auto servers, s.servers());
    return s.run(scrub(s, servers));
}

}  // namespace keepstore::keepctl
