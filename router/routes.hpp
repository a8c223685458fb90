/// The routes of docs/interface.md 2.10: maps a method and path to a call of the store, and its result to a response.
/// Safe to use from any thread; each call belongs to one request.
#pragma once

#include "base/blocking_pool.hpp"
#include "protocol/work_lists.hpp"
#include "router/request_context.hpp"
#include "router/tokens.hpp"
#include "store/block_store.hpp"
#include "store/lists/pull_worker.hpp"
#include "store/lists/work_queue.hpp"
#include "store/remote/remote_reader.hpp"
#include "store/scrub/scrub.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace keepstore::router {

/// The targets of match_route().
enum class route {
    none,  ///< 400, also for a wrong method on a known path.
    block_read,
    block_write,
    block_touch,
    block_trash,
    block_untrash,
    index,
    mounts,
    pull_list,
    trash_list,
    work_status,
    scrub_status,
    scrub_start,
    scrub_stop,
    scrub_other_method,  ///< 405.
    options,
};

struct route_match {
    route to = route::none;
    std::string_view locator = {};     ///< Of the block routes: everything after the slash.
    std::string_view mount_uuid = {};  ///< Of /mounts/{uuid}/blocks.
    std::string_view prefix = {};      ///< Of the index routes, when it is in the path.
};

/// Matches a decoded path. Pure; the result points into `path`.
[[nodiscard]] route_match match_route(std::string_view method, std::string_view path) noexcept;

class routes {
  public:
    /// All must outlive the routes.
    struct parts {
        store::block_store& store;
        store::work_queue<protocol::pull_item>& pulls;
        store::work_queue<protocol::trash_item>& trash;
        const secret_token& admin_token;
        store::scrubber* scrub;                     ///< Null: /_scrub is 404.
        store::remote_reader* remote;               ///< Null: no other cluster is configured.
        const store::pull_counters* pull_counters;  ///< Null: /_work has no outcomes of pulls.
        blocking_pool& slow_calls;
    };
    explicit routes(const parts& p) : parts_(p) {}

    /// Responds to the request, also when no route matches. Awaited in place.
    [[nodiscard]] awaitable<void> handle(request_context&);

  private:
    // block_handlers.cpp
    [[nodiscard]] awaitable<void> read_block(request_context&, std::string_view locator_text);
    [[nodiscard]] awaitable<void> read_remote_block(request_context&, protocol::locator);
    [[nodiscard]] awaitable<void> write_block(request_context&, std::string_view locator_text);
    // admin_handlers.cpp
    using block_change = awaitable<result<void>> (store::block_store::*)(const md5_digest&, deadline);
    [[nodiscard]] awaitable<void> change_block(request_context&, std::string_view locator_text, block_change);
    [[nodiscard]] awaitable<void> list_mounts(request_context&);
    [[nodiscard]] awaitable<void> list_index(request_context&, std::string_view mount_uuid, std::string_view prefix);
    template <class Item>
    [[nodiscard]] awaitable<void> set_list(request_context&, result<std::vector<Item>> (*parse)(std::string_view),
                                           store::work_queue<Item>&);
    [[nodiscard]] awaitable<void> set_pull_list(request_context&);
    [[nodiscard]] awaitable<void> set_trash_list(request_context&);
    [[nodiscard]] awaitable<void> show_work(request_context&);
    // scrub_handlers.cpp
    [[nodiscard]] awaitable<void> show_scrub(request_context&);
    [[nodiscard]] awaitable<void> start_scrub(request_context&);
    [[nodiscard]] awaitable<void> stop_scrub(request_context&);

    const parts parts_;
    const std::chrono::system_clock::time_point started_at_ = std::chrono::system_clock::now();
};

}  // namespace keepstore::router
