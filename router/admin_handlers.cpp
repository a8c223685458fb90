// The routes that require the administrator's token: index, mounts, work lists, touch, trash and untrash
// (docs/interface.md 2.13 to 2.16, 5.4).
#include "base/json.hpp"
#include "protocol/index_lines.hpp"
#include "protocol/limits.hpp"
#include "protocol/locator.hpp"
#include "router/routes.hpp"
#include "router/work_report.hpp"

#include <nlohmann/json.hpp>

namespace keepstore::router {
namespace {

// Streams index lines. The head is sent with the first of them, so that an earlier error still gets a status.
class index_response final : public store::block_store::index_writer {
  public:
    explicit index_response(net::server_exchange& ex) noexcept : ex_(ex) {}

    awaitable<result<void>> write(std::string_view lines) override {
        if (lines.empty()) co_return success();
        if (!ex_.response_started()) {
            ex_.set_header("Content-Type", text_plain);
            KS_CO_CHECK(co_await ex_.start(200, std::nullopt));
        }
        co_return co_await ex_.write(std::as_bytes(std::span(lines)));
    }

  private:
    net::server_exchange& ex_;
};

// Returns a call that parses a list and puts it in the place of the old one, whose items it destroys: seconds for a
// million of them.
template <class Item>
auto take_list(std::string body, result<std::vector<Item>> (*parse)(std::string_view), store::work_queue<Item>& queue) {
    return [body = std::move(body), parse, &queue]() -> result<void> {
        KS_TRY(auto items, parse(body));
        queue.replace(std::move(items), sha256(body));
        return success();
    };
}

}  // namespace

awaitable<void> routes::change_block(request_context& request, std::string_view locator_text, block_change change) {
    const auto block = protocol::locator::parse(locator_text);
    if (!block) co_return co_await request.reply_error(block.error());
    const auto done = co_await (parts_.store.*change)(block->hash, request.ex.get_deadline());
    if (!done) co_return co_await request.reply_error(done.error());
    co_await request.reply_empty(200);
}

awaitable<void> routes::list_mounts(request_context& request) {
    auto array = nlohmann::ordered_json::array();
    for (const store::mount& m : parts_.store.mounts().all()) {
        array.push_back({{"uuid", m.uuid},
                         {"device_id", m.volume->device_id()},
                         {"allow_write", m.allow_write},
                         {"allow_trash", m.allow_trash},
                         {"replication", m.replication},
                         {"storage_classes", m.storage_classes}});
    }
    const std::string body = json_to_text(array) + "\n";
    co_await request.reply(200, body, application_json);
}

awaitable<void> routes::list_index(request_context& request, std::string_view mount_uuid, std::string_view prefix) {
    net::server_exchange& ex = request.ex;
    // A large index takes longer than RequestTimeout (docs/interface.md 2.8).
    ex.set_deadline(deadline::never());
    std::string wanted(prefix);
    if (auto values = query_values(ex.head().query, "prefix"); !values.empty() && !values.front().empty())
        wanted = std::move(values.front());
    if (request.is_head()) {
        // A response to HEAD has no lines, so the volumes are not listed.
        if (!mount_uuid.empty() && !parts_.store.mounts().find(mount_uuid))
            co_return co_await request.reply_error(error(errc::not_found));
        request.status = 200;
        ex.set_header("Content-Type", text_plain);
        const auto started = co_await ex.start(200, std::nullopt);
        if (!started) co_return request.cut_off();
        if (const auto finished = co_await ex.finish(); !finished) request.cut_off();
        co_return;
    }
    index_response lines(ex);
    const auto done = co_await parts_.store.index(std::string(mount_uuid), std::move(wanted), lines, deadline::never());
    if (!done) co_return co_await request.reply_error(done.error());
    // The blank line marks the list as complete (docs/interface.md 2.14).
    if (!ex.response_started()) co_return co_await request.reply(200, protocol::index_end, text_plain);
    request.status = 200;
    if (const auto ended = co_await ex.write(std::as_bytes(std::span(protocol::index_end))); !ended)
        co_return request.cut_off();
    if (const auto finished = co_await ex.finish(); !finished) request.cut_off();
}

template <class Item>
awaitable<void> routes::set_list(request_context& request, result<std::vector<Item>> (*parse)(std::string_view),
                                 store::work_queue<Item>& queue) {
    auto body = co_await request.ex.read_body(limits::work_list_bytes_max);
    if (!body) co_return co_await request.reply_error(body.error());
    const auto until = request.ex.get_deadline();
    const auto taken = co_await parts_.slow_calls.run(take_list(std::move(*body), parse, queue), until);
    if (!taken) co_return co_await request.reply_error(taken.error());
    co_await request.reply_empty(200);
}

awaitable<void> routes::set_pull_list(request_context& request) {
    return set_list(request, protocol::parse_pull_list, parts_.pulls);
}

awaitable<void> routes::set_trash_list(request_context& request) {
    return set_list(request, protocol::parse_trash_list, parts_.trash);
}

awaitable<void> routes::show_work(request_context& request) {
    const std::string body = work_json({.pulls = parts_.pulls.progress(),
                                        .trash = parts_.trash.progress(),
                                        .pull_counters = parts_.pull_counters,
                                        .trash_counters = parts_.store.counters(),
                                        .started_at = started_at_});
    co_await request.reply(200, body, application_json);
}

}  // namespace keepstore::router
