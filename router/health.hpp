/// /_health/ping as the Arvados services answer it (docs/interface.md 2.4), and two endpoints of our own for load
/// balancers, which need no token: /_health/live (the process answers) and /_health/ready (it should get requests).
/// Safe to use from any thread.
#pragma once

#include "router/request_context.hpp"
#include "router/tokens.hpp"
#include "store/mount.hpp"

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::router {

class health {
  public:
    health(const store::mount_table& mounts, const secret_token& management_token)
        : mounts_(mounts), management_token_(management_token) {}

    void set_draining(bool draining) noexcept { draining_.store(draining, std::memory_order_relaxed); }
    [[nodiscard]] bool draining() const noexcept { return draining_.load(std::memory_order_relaxed); }

    /// Answers GET and HEAD of /_health/live and /_health/ready. \returns false if the path is another.
    [[nodiscard]] awaitable<bool> answer_probe(request_context&) const;

    /// Answers /_health/ping and what the Go daemon's router does about paths like it. \returns false if the request is
    /// for the next layer.
    [[nodiscard]] awaitable<bool> answer_ping(request_context&) const;

    struct readiness {
        bool ready;
        std::vector<std::string> reasons;  ///< Everything that is not well, also when ready.
    };
    /// Ready unless it drains or no volume answers: with some of its volumes a service is still worth asking.
    [[nodiscard]] readiness check() const;

  private:
    const store::mount_table& mounts_;
    const secret_token& management_token_;
    std::atomic<bool> draining_{false};
};

}  // namespace keepstore::router
