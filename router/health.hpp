/// Health checks: /_health/ping of all Arvados services (docs/interface.md 2.4), and two endpoints of our own for load
/// balancers, without a token: /_health/live (the process runs) and /_health/ready (it should get requests).
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

    /// Responds to GET and HEAD of /_health/live and /_health/ready. \returns false for any other request.
    [[nodiscard]] awaitable<bool> serve_probe(request_context&) const;

    /// Responds to /_health/ping, and to similar paths with the redirect of the Go daemon's router. \returns false if
    /// the request is for the next layer.
    [[nodiscard]] awaitable<bool> serve_ping(request_context&) const;

    struct readiness {
        bool ready;
        std::vector<std::string> reasons;  ///< All known problems, also when ready.
    };
    /// Returns ready unless the service drains or no volume is healthy: one healthy volume is enough to serve requests.
    [[nodiscard]] readiness check() const;

  private:
    const store::mount_table& mounts_;
    const secret_token& management_token_;
    std::atomic<bool> draining_{false};
};

}  // namespace keepstore::router
