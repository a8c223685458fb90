/// Logs the "request" and "response" lines of a request (docs/interface.md 2.3), without its secrets. Safe to use from
/// any thread.
#pragma once

#include "router/request_context.hpp"

#include <chrono>
#include <string>

namespace keepstore::router {

class access_log {
  public:
    /// Writes the "request" line. Allocates nothing when the log level drops both lines.
    explicit access_log(const request_context&);

    /// Writes the "response" line.
    void finish(std::chrono::steady_clock::time_point now) const;

    /// From the request's arrival to its status line, or to `now` if none was sent.
    [[nodiscard]] static std::chrono::steady_clock::duration time_to_status(const net::server_exchange&,
                                                                            std::chrono::steady_clock::time_point now);

  private:
    const request_context& request_;
    const bool enabled_;
    // Redacted once for both lines; empty when the log level drops them.
    std::string path_;
    std::string query_;
};

}  // namespace keepstore::router
