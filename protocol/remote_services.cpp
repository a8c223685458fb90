#include "protocol/remote_services.hpp"

#include "base/limits.hpp"
#include "base/wait_until.hpp"
#include "protocol/rendezvous.hpp"

#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace keepstore::protocol {
namespace {

using nlohmann::json;

std::string text_in(const json& object, const char* name) {
    const auto at = object.find(name);
    return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::optional<remote_service> parse_service(const json& item) {
    if (!item.is_object()) return std::nullopt;
    const std::string host = text_in(item, "service_host");
    const auto port = item.find("service_port");
    const auto tls = item.find("service_ssl_flag");
    if (host.empty() || port == item.end() || !port->is_number_integer()) return std::nullopt;
    const bool use_tls = tls != item.end() && tls->is_boolean() && tls->get<bool>();
    const bool bare_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
    auto where = parse_block_server(fmt::format("{}://{}{}{}:{}", use_tls ? "https" : "http", bare_v6 ? "[" : "", host,
                                                bare_v6 ? "]" : "", port->get<std::int64_t>()));
    if (!where || where->path != "/") return std::nullopt;
    return remote_service{.uuid = text_in(item, "uuid"), .where = std::move(*where)};
}

}  // namespace

result<remote_service_list> parse_service_list(std::string_view text) {
    const auto parsed = json::parse(text, nullptr, false);
    const auto items = parsed.is_object() ? parsed.find("items") : parsed.end();
    if (!parsed.is_object() || items == parsed.end() || !items->is_array())
        return fail(errc::unavailable, "its list of keep services is not one");
    remote_service_list out;
    std::set<std::string> seen;
    for (const json& item : *items) {
        auto service = parse_service(item);
        if (service && out.size() < limits::remote_services_max &&
            seen.insert(net::to_string(service->where.to)).second)
            out.push_back(std::move(*service));
    }
    if (out.empty()) return fail(errc::unavailable, "it lists no keep service that could be asked");
    return out;
}

std::vector<const remote_service*> in_probe_order(const remote_service_list& list, const md5_digest& block) {
    std::vector<std::pair<md5_digest, const remote_service*>> weighted;
    for (const auto& s : list) weighted.emplace_back(rendezvous_weight(block, s.uuid), &s);
    // By weight, then by uuid: no two have the same.
    std::ranges::sort(weighted, [](const auto& a, const auto& b) {
        return a.first == b.first ? a.second->uuid < b.second->uuid : b.first < a.first;
    });
    std::vector<const remote_service*> out;
    for (const auto& w : weighted) out.push_back(w.second);
    return out;
}

class remote_services::fetch_mark {
  public:
    explicit fetch_mark(remote_services& home) noexcept : home_(home) {}
    ~fetch_mark() { home_.fetch_ended(); }
    fetch_mark(const fetch_mark&) = delete;
    fetch_mark& operator=(const fetch_mark&) = delete;

  private:
    remote_services& home_;
};

awaitable<result<remote_services::list_ptr>> remote_services::get(deadline until) {
    const auto executor = co_await asio::this_coro::executor;
    while (true) {
        one_shot<bool> ready;
        std::unique_ptr<fetch_mark> mark;
        list_ptr old;
        {
            const std::lock_guard lock(mutex_);
            const auto now = clock::now();
            if (now < refresh_at_) {
                if (list_) co_return list_;
                if (last_error_) co_return std::unexpected(*last_error_);
            }
            if (!fetching_) {
                mark = std::make_unique<fetch_mark>(*this);
                fetching_ = true;
            }
            if (list_ && now < fetched_at_ + options_.served_max)
                old = list_;
            else
                waiters_.push_back(ready);
        }
        if (mark) {
            // Not this caller's own: it may have little time, or leave.
            asio::co_spawn(executor, fetch(shared_from_this(), std::move(mark)), [](const std::exception_ptr&) {});
        }
        if (old) co_return old;
        auto woken =
            co_await wait_until(ready, until, "the list of the remote cluster's keep services does not come in time");
        if (!woken) {
            const std::lock_guard lock(mutex_);
            std::erase_if(waiters_, [&](const auto& w) { return w.same_as(ready); });
            co_return std::unexpected(std::move(woken.error()));
        }
    }
}

awaitable<void> remote_services::fetch(std::shared_ptr<remote_services> self, std::unique_ptr<fetch_mark> mark) {
    result<list_ptr> got = fail(errc::unavailable);
    try {
        got = co_await self->ask(deadline::in(limits::remote_services_timeout));
    } catch (const std::exception& e) {
        got = fail(errc::unavailable, std::string("the list of keep services cannot be fetched: ") + e.what());
    }
    self->keep(std::move(got));
    mark.reset();
}

void remote_services::keep(result<list_ptr> got) {
    const std::lock_guard lock(mutex_);
    const auto now = clock::now();
    if (got) {
        list_ = std::move(*got);
        last_error_.reset();
        fetched_at_ = now;
        refresh_at_ = now + options_.lifetime;
    } else {
        // Until the next attempt the old list, if there is one, has to do.
        last_error_ = std::move(got.error());
        refresh_at_ = now + options_.retry_after;
    }
}

void remote_services::fetch_ended() {
    std::deque<one_shot<bool>> wake;
    {
        const std::lock_guard lock(mutex_);
        fetching_ = false;
        wake.swap(waiters_);
    }
    for (const auto& w : wake) w.set(true);
}

void remote_services::close() {
    std::deque<one_shot<bool>> gone;
    {
        const std::lock_guard lock(mutex_);
        gone.swap(waiters_);
    }
    for (const auto& w : gone) w.set(fail(errc::cancelled));
}

awaitable<result<remote_services::list_ptr>> remote_services::ask(deadline until) {
    net::request r;
    r.to = api_;
    r.target = "/arvados/v1/keep_services/accessible";
    // The list is open to everybody; the API server wants some token to be there.
    r.headers.push_back({"Authorization", "Bearer xxx"});
    const std::string who = "API server of the remote cluster: ";
    auto response = co_await client_.send(std::move(r), until);
    if (!response) {
        error why = reading_error(std::move(response.error()));
        why.text = who + why.text;
        co_return std::unexpected(std::move(why));
    }
    if (response->status() != 200)
        co_return fail(errc::unavailable,
                       fmt::format("{}{}: answers {}", who, net::to_string(api_), response->status()));
    auto body = co_await response->read_all(limits::remote_services_bytes_max);
    if (!body) {
        error why = reading_error(std::move(body.error()));
        why.text = who + why.text;
        co_return std::unexpected(std::move(why));
    }
    auto list = parse_service_list(*body);
    if (!list) co_return fail(errc::unavailable, fmt::format("{}{}: {}", who, net::to_string(api_), list.error().text));
    co_return std::make_shared<const remote_service_list>(std::move(*list));
}

void remote_services::suspect() {
    const std::lock_guard lock(mutex_);
    refresh_at_ = std::min(refresh_at_, std::max(clock::now(), fetched_at_ + options_.retry_after));
}

}  // namespace keepstore::protocol
