/// The implementation of a client: sends requests, follows redirects, and repeats a request once on a new connection if
/// a kept-alive one was dead. Safe to use from any thread.
#pragma once

#include "net/client/client_shared.hpp"

#include <memory>
#include <mutex>
#include <vector>

namespace keepstore::net {

class connection_pool;
class http_call;

class client_core {
  public:
    explicit client_core(std::shared_ptr<client_shared> shared) : shared_(std::move(shared)) {}

    [[nodiscard]] awaitable<result<response>> send(request r, deadline until);
    [[nodiscard]] const client_counters& counters() const noexcept { return shared_->counters; }
    void close() noexcept;

  private:
    [[nodiscard]] std::shared_ptr<connection_pool> pool_for(const asio::any_io_executor&);
    [[nodiscard]] awaitable<result<std::unique_ptr<http_call>>> send_once(const std::shared_ptr<connection_pool>&,
                                                                          const request&, deadline until);
    [[nodiscard]] result<bool> redirect(request& r, const http_call&, unsigned& followed) const;

    const std::shared_ptr<client_shared> shared_;
    std::mutex mutex_;
    std::vector<std::weak_ptr<connection_pool>> pools_;  ///< Guarded by mutex_. One for each event loop.
};

}  // namespace keepstore::net
