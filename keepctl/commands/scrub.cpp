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

class scrub_command {
  public:
    scrub_command(session& s, const std::vector<keep_server>& servers) : session_(s), servers_(servers) {}

    awaitable<outcome<exit_code>> run() {
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
        auto responses = co_await all_at_once(servers_.size(),
                                              [&](std::size_t i) { return ask_scrubs(servers_[i], method, target); });
        if (!responses) co_return false;
        responses_ = std::move(*responses);
        co_return true;
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
        return out.end(code, {{"irreparable", irreparable}});
    }

    session& session_;
    const std::vector<keep_server>& servers_;
    std::vector<scrub_response> responses_;
};

}  // namespace

outcome<exit_code> run_scrub(session& s) {
    KS_TRY(const auto servers, s.servers());
    scrub_command command(s, servers);
    return s.run(command.run());
}

}  // namespace keepstore::keepctl
