/// GET /_status and /_status.json (docs/interface.md 2.20, docs/status-page.md): who may see them, and the responses.
///
/// There are no sessions: a request gives the ManagementToken in the Authorization header, or the form that the page
/// shows without it posts it. The script of the page keeps it in a variable and sends it as a header, so it is in no
/// URL, cookie or store of the browser. Safe to use from any thread.
#pragma once

#include "router/request_context.hpp"
#include "router/status_page/status_values.hpp"
#include "router/tokens.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::router {

class status_page {
  public:
    status_page(status_values::options o, status_values::sources s, const secret_token& management_token)
        : values_(std::move(o), std::move(s)), management_token_(management_token) {}

    /// Responds to all requests for the two paths. \returns false for any other request.
    [[nodiscard]] awaitable<bool> serve(request_context&);

    /// Counts a request that has ended, and keeps it if it failed.
    void count_request(const request_context&, std::chrono::steady_clock::time_point now);

    [[nodiscard]] status_values& values() noexcept { return values_; }

  private:
    [[nodiscard]] admission admit(const request_context&, const std::vector<std::string>& tokens) const;
    [[nodiscard]] awaitable<void> send_page(request_context&, unsigned status, std::string html) const;
    [[nodiscard]] awaitable<void> refuse(request_context&, admission, bool json) const;

    status_values values_;
    const secret_token& management_token_;
};

/// Whether a request comes from this host: the peer and the Host header are loopback addresses, and no proxy says that
/// it passes on the request of another client. The Host header excludes web pages whose name was made to resolve to
/// this host (DNS rebinding).
[[nodiscard]] bool is_local_request(const net::request_head&, std::string_view remote_address) noexcept;

}  // namespace keepstore::router
