#include "router/routes.hpp"

#include "base/hex.hpp"

#include <algorithm>

namespace keepstore::router {
namespace {

// 32 lower-case hex digits, then any characters except newlines (the dot of the Go daemon's pattern).
bool is_locator_path(std::string_view s) noexcept {
    return s.size() >= 32 && is_lower_hex(s.substr(0, 32)) && s.find('\n') == std::string_view::npos;
}

bool is_prefix(std::string_view s) noexcept {
    return s.size() <= 32 && is_lower_hex(s);
}

route_match match_get(std::string_view path) noexcept {
    if (is_locator_path(path)) return {.to = route::block_read, .locator = path};
    // "//locator" is served for old clients that join URLs with a doubled slash.
    if (path.starts_with('/') && is_locator_path(path.substr(1)))
        return {.to = route::block_read, .locator = path.substr(1)};
    if (path == "mounts") return {.to = route::mounts};
    if (path == "_work") return {.to = route::work_status};
    if (path == "index") return {.to = route::index};
    if (path.starts_with("index/") && is_prefix(path.substr(6))) return {.to = route::index, .prefix = path.substr(6)};
    if (path.starts_with("mounts/")) {
        const std::string_view rest = path.substr(7);
        const auto slash = rest.find('/');
        if (slash == 0 || slash == std::string_view::npos) return {};
        const std::string_view uuid = rest.substr(0, slash);
        const std::string_view tail = rest.substr(slash + 1);
        if (tail == "blocks") return {.to = route::index, .mount_uuid = uuid};
        if (tail.starts_with("blocks/") && is_prefix(tail.substr(7)))
            return {.to = route::index, .mount_uuid = uuid, .prefix = tail.substr(7)};
    }
    return {};
}

// All but these: a route that is added needs the administrator's token until it is named here.
bool needs_admin(route r) noexcept {
    return r != route::none && r != route::block_read && r != route::block_write && r != route::options;
}

}  // namespace

route_match match_route(std::string_view method, std::string_view path) noexcept {
    if (!path.starts_with('/')) return {};
    if (method == "OPTIONS") return {.to = route::options};
    path.remove_prefix(1);
    if (path == "_scrub") {
        if (method == "GET" || method == "HEAD") return {.to = route::scrub_status};
        if (method == "PUT") return {.to = route::scrub_start};
        if (method == "DELETE") return {.to = route::scrub_stop};
        return {.to = route::scrub_other_method};
    }
    if (method == "GET" || method == "HEAD") return match_get(path);
    if (method == "PUT") {
        if (is_locator_path(path)) return {.to = route::block_write, .locator = path};
        if (path == "pull") return {.to = route::pull_list};
        if (path == "trash") return {.to = route::trash_list};
        if (path.starts_with("untrash/") && is_locator_path(path.substr(8)))
            return {.to = route::block_untrash, .locator = path.substr(8)};
    }
    if (method == "TOUCH" && is_locator_path(path)) return {.to = route::block_touch, .locator = path};
    if (method == "DELETE" && is_locator_path(path)) return {.to = route::block_trash, .locator = path};
    return {};
}

awaitable<void> routes::handle(request_context& request) {
    const net::request_head& head = request.ex.head();
    const route_match match = match_route(head.method, head.path);
    if (needs_admin(match.to)) {
        switch (require_literal_token(parts_.admin_token, request.tokens, admission::forbidden)) {
            case admission::granted:
                break;
            case admission::unauthorized:
                co_return co_await request.reply_plain_error(401, "Unauthorized");
            case admission::forbidden:
                co_return co_await request.reply_plain_error(403, "Forbidden");
        }
    }
    request.block = match.to == route::block_read || match.to == route::block_write;
    switch (match.to) {
        case route::none:
            co_return co_await request.reply_plain_error(400, "Bad Request");
        case route::block_read:
            co_return co_await read_block(request, match.locator);
        case route::block_write:
            co_return co_await write_block(request, match.locator);
        case route::block_touch:
            co_return co_await change_block(request, match.locator, &store::block_store::block_touch);
        case route::block_trash:
            co_return co_await change_block(request, match.locator, &store::block_store::block_trash);
        case route::block_untrash:
            co_return co_await change_block(request, match.locator, &store::block_store::block_untrash);
        case route::index:
            co_return co_await list_index(request, match.mount_uuid, match.prefix);
        case route::mounts:
            co_return co_await list_mounts(request);
        case route::pull_list:
            co_return co_await set_pull_list(request);
        case route::trash_list:
            co_return co_await set_trash_list(request);
        case route::work_status:
            co_return co_await show_work(request);
        case route::scrub_status:
            co_return co_await show_scrub(request);
        case route::scrub_start:
            co_return co_await start_scrub(request);
        case route::scrub_stop:
            co_return co_await stop_scrub(request);
        case route::scrub_other_method:
            request.ex.set_header("Allow", "GET, HEAD, PUT, DELETE");
            co_return co_await request.reply_plain_error(405, "Method Not Allowed");
        case route::options:
            co_return co_await request.reply_empty(200);
    }
}

}  // namespace keepstore::router
