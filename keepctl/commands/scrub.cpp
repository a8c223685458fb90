#include "keepctl/cluster/scrub_report.hpp"

#include "base/when_all.hpp"
#include "keepctl/commands/commands.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

using scrub_response = result<std::vector<scrub_report>>;

awaitable<void> ask_scrubs(const keep_server& server, std::string method, std::string target, scrub_response& out) {
    auto response = co_await server.request(std::move(method), std::move(target), server.access().token,
                                            deadline::in(limits::keepctl_request_timeout));
    if (!response) {
        out = std::unexpected(std::move(response.error()));
    } else if (response->status == 400 || response->status == 404) {
        out = fail(errc::unsupported, server.url() + ": has no scrub; is it another keepstore than ours?");
    } else if (response->status != 200) {
        out = std::unexpected(server.refused(*response, "/_scrub"));
    } else {
        out = parse_scrubs(response->body);
        if (!out) out.error().text = server.url() + ": " + out.error().text;
    }
}

class scrub_command {
  public:
    scrub_command(session& s, const std::vector<keep_server>& servers) : session_(s), servers_(servers) {}

    awaitable<exit_code> run() {
        const auto& given = session_.given();
        const std::string& action = given.action;
        std::string target = "_scrub";
        if (action == "start" && given.rate) target += fmt::format("?rate={}", *given.rate);
        const bool changes = !given.dry_run;
        if (!changes) target = "_scrub";
        if (!co_await ask(changes && action == "start"  ? "PUT"
                          : changes && action == "stop" ? "DELETE"
                                                        : "GET",
                          target))
            co_return exit_code::interrupted;
        asio::steady_timer timer(co_await asio::this_coro::executor);
        while (action == "wait" && any_under_way()) {
            timer.expires_after(limits::scrub_poll_interval);
            if (const auto [failed] = co_await expiry(timer); failed) co_return exit_code::interrupted;
            if (!co_await ask("GET", "_scrub")) co_return exit_code::interrupted;
        }
        co_return show();
    }

  private:
    awaitable<bool> ask(std::string method, std::string target) {
        responses_.assign(servers_.size(), fail(errc::cancelled));
        std::vector<awaitable<void>> calls;
        for (std::size_t i = 0; i < servers_.size(); ++i)
            calls.push_back(ask_scrubs(servers_[i], method, target, responses_[i]));
        const bool cancelled = co_await when_all(std::move(calls));
        co_return !cancelled;
    }

    [[nodiscard]] bool any_under_way() const {
        return std::ranges::any_of(
            responses_, [](const scrub_response& a) { return a && std::ranges::any_of(*a, &scrub_report::under_way); });
    }

    exit_code show() {
        auto& out = session_.out();
        auto code = exit_code::done;
        std::size_t reached = 0;
        std::int64_t irreparable = 0;
        for (std::size_t i = 0; i < servers_.size(); ++i) {
            if (!responses_[i]) {
                out.error(responses_[i].error().text, exit_code::not_finished);
                code = worse(code, exit_code::not_finished);
                continue;
            }
            ++reached;
            for (const auto& r : *responses_[i]) {
                irreparable += r.irreparable;
                if (r.state == "failed") code = worse(code, exit_code::not_finished);
                out.add("scrub", {{"server", servers_[i].url()},
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
        for (std::size_t i = 0; i < servers_.size(); ++i) {
            if (!responses_[i]) continue;
            for (const auto& r : *responses_[i]) {
                for (const auto& copy : r.irreparable_copies)
                    out.add("irreparable", {{"block", copy.block},
                                            {"server", servers_[i].url()},
                                            {"mount", r.mount},
                                            {"problem", copy.problem}});
            }
        }
        if (irreparable > 0) code = worse(code, exit_code::some_failed);
        if (reached == 0) code = exit_code::unreachable;
        out.end(code, {{"irreparable", irreparable}});
        return code;
    }

    session& session_;
    const std::vector<keep_server>& servers_;
    std::vector<scrub_response> responses_;
};

}  // namespace

exit_code run_scrub(session& s) {
    const auto servers = s.servers();
    if (!servers) return end_with(s, servers.error());
    scrub_command command(s, *servers);
    return s.run(command.run());
}

}  // namespace keepstore::keepctl
