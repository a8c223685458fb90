#include "protocol/remote_services.hpp"

#include "base/cancellable.hpp"
#include "base/json.hpp"
#include "protocol/limits.hpp"
#include "protocol/rendezvous.hpp"

#include <fmt/format.h>
#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace keepstore::protocol {
namespace {

using nlohmann::json;

std::optional<remote_service> parse_service(const json& item) {
    if (!item.is_object()) return std::nullopt;
    const std::string host = json_text(item, "service_host");
    const auto port = item.find("service_port");
    const auto tls = item.find("service_ssl_flag");
    if (host.empty() || port == item.end() || !port->is_number_integer()) return std::nullopt;
    const bool use_tls = tls != item.end() && tls->is_boolean() && tls->get<bool>();
    const bool bare_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
    auto where = parse_block_server(fmt::format("{}://{}{}{}:{}", use_tls ? "https" : "http", bare_v6 ? "[" : "", host,
                                                bare_v6 ? "]" : "", port->get<std::int64_t>()));
    if (!where || where->path != "/") return std::nullopt;
    return remote_service{.uuid = json_text(item, "uuid"), .where = std::move(*where)};
}

}  // namespace

result<remote_service_list> parse_service_list(std::string_view text) {
    const auto parsed = parse_json(text);
    const auto items = parsed.is_object() ? parsed.find("items") : parsed.end();
    if (!parsed.is_object() || items == parsed.end() || !items->is_array())
        return fail(errc::unavailable, "malformed list of keep services");
    remote_service_list out;
    std::set<std::string> seen;
    for (const json& item : *items) {
        auto service = parse_service(item);
        if (service && out.size() < limits::remote_services_max &&
            seen.insert(net::to_string(service->where.to)).second)
            out.push_back(std::move(*service));
    }
    if (out.empty()) return fail(errc::unavailable, "its list of keep services has no usable entry");
    return out;
}

std::vector<const remote_service*> in_probe_order(const remote_service_list& list, const md5_digest& block) {
    std::vector<std::pair<md5_digest, const remote_service*>> weighted;
    for (const auto& s : list) weighted.emplace_back(rendezvous_weight(block, s.uuid), &s);
    // Uuids that differ only in their first 12 characters have the same weight.
    std::ranges::sort(weighted, [](const auto& a, const auto& b) {
        return a.first == b.first ? a.second->uuid < b.second->uuid : b.first < a.first;
    });
    std::vector<const remote_service*> out;
    for (const auto& w : weighted) out.push_back(w.second);
    return out;
}

awaitable<result<remote_services::list_ptr>> remote_services::get(deadline until) {
    const auto executor = co_await asio::this_coro::executor;
    if (auto now = fresh()) co_return std::move(*now);
    const auto start = [&](flight waiters) { start_fetch(executor, std::move(waiters)); };
    list_ptr expired;
    {
        const std::lock_guard lock(mutex_);
        if (list_ && clock::now() < fetched_at_ + options_.served_max) expired = list_;
    }
    if (expired) {
        fetch_.launch(start);
        co_return expired;
    }
    co_return co_await fetch_.run(start, until, "the list of the remote cluster's keep services does not come in time");
}

void remote_services::start_fetch(const asio::any_io_executor& executor, flight waiters) {
    // Another fetch may have ended since the caller looked.
    if (const auto now = fresh()) return waiters.land(*now);
    spawn(executor, fetch(shared_from_this(), std::move(waiters)));
}

awaitable<void> remote_services::fetch(std::shared_ptr<remote_services> self, flight waiters) {
    result<list_ptr> fetched = fail(errc::unavailable);
    try {
        fetched = co_await self->request_list(deadline::in(limits::remote_services_timeout));
    } catch (const std::exception& e) {
        fetched = fail(errc::unavailable, std::string("the list of keep services cannot be fetched: ") + e.what());
    }
    waiters.land(self->keep(std::move(fetched)));
}

std::optional<result<remote_services::list_ptr>> remote_services::fresh() {
    const std::lock_guard lock(mutex_);
    if (clock::now() >= refresh_at_) return std::nullopt;
    if (list_) return list_;
    if (last_error_) return std::unexpected(*last_error_);
    return std::nullopt;
}

result<remote_services::list_ptr> remote_services::keep(result<list_ptr> fetched) {
    const std::lock_guard lock(mutex_);
    const auto now = clock::now();
    if (fetched) {
        list_ = std::move(*fetched);
        last_error_.reset();
        fetched_at_ = now;
        refresh_at_ = now + options_.lifetime;
        return list_;
    }
    last_error_ = std::move(fetched.error());
    refresh_at_ = now + options_.retry_after;
    if (list_) return list_;
    return std::unexpected(*last_error_);
}

awaitable<result<remote_services::list_ptr>> remote_services::request_list(deadline until) {
    net::request r;
    r.to = api_;
    r.target = "/arvados/v1/keep_services/accessible";
    // The list is public; the API server only demands that there is a token.
    r.headers.push_back({"Authorization", "Bearer xxx"});
    const std::string api = "API server of the remote cluster: ";
    auto response = co_await client_.send(std::move(r), until);
    const auto failed = [&api](error e) {
        error why = reading_error(std::move(e));
        why.text = api + why.text;
        return std::unexpected(std::move(why));
    };
    if (!response) co_return failed(std::move(response.error()));
    if (response->status() != 200)
        co_return fail(errc::unavailable,
                       fmt::format("{}{}: responds with status {}", api, net::to_string(api_), response->status()));
    auto body = co_await response->read_all(limits::remote_services_bytes_max);
    if (!body) co_return failed(std::move(body.error()));
    auto list = parse_service_list(*body);
    if (!list) co_return fail(errc::unavailable, fmt::format("{}{}: {}", api, net::to_string(api_), list.error().text));
    co_return std::make_shared<const remote_service_list>(std::move(*list));
}

void remote_services::suspect() {
    const std::lock_guard lock(mutex_);
    refresh_at_ = std::min(refresh_at_, std::max(clock::now(), fetched_at_ + options_.retry_after));
}

}  // namespace keepstore::protocol
