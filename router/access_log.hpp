/// The two lines that each request leaves in the log, "request" and "response" (docs/interface.md 2.3), without its
/// secrets. Safe to use from any thread.
#pragma once

#include "router/request_context.hpp"

#include <chrono>
#include <string>

namespace keepstore::router {

class access_log {
  public:
    /// Writes the "request" line. Builds nothing when the log level leaves both lines out.
    explicit access_log(const request_context&);

    /// Writes the "response" line.
    void finish(std::chrono::steady_clock::time_point now) const;

    /// From the request's arrival to its status line, or to `now` if none was sent.
    [[nodiscard]] static std::chrono::steady_clock::duration time_to_status(const net::server_exchange&,
                                                                            std::chrono::steady_clock::time_point now);

  private:
    const request_context& request_;
    const bool enabled_;
    // Made once for both lines; empty when the level leaves them out.
    std::string path_;
    std::string query_;
};

}  // namespace keepstore::router
