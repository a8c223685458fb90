/// State that all parts of one client share, on all its event loops. Safe to use from any thread.
#pragma once

#include "net/client/address_cache.hpp"
#include "net/client/client_counters.hpp"
#include "net/client/expect_continue_cache.hpp"
#include "net/client/http_client.hpp"
#include "net/tls/tls_client_context.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace keepstore::net {

struct client_shared {
    client_shared(client_options o, std::shared_ptr<tls_client_context> t)
        : options(std::move(o)), tls(std::move(t)), id(next_id()) {}

    // Constant after construction.
    const client_options options;
    const std::shared_ptr<tls_client_context> tls;
    const std::uint64_t id;  ///< Never used again in this process.

    std::atomic<bool> closed{false};
    client_counters counters;
    const std::shared_ptr<address_cache> addresses =
        std::make_shared<address_cache>();  ///< Lookups may outlive the client.
    expect_continue_cache continues;

  private:
    static std::uint64_t next_id() {
        static std::atomic<std::uint64_t> last{0};
        return ++last;
    }
};

/// Returns the error for a failure, which is counted. `text` names the phase and what to check; the server's name is
/// put in front.
[[nodiscard]] inline std::unexpected<error> make_failure(client_shared& shared, const endpoint& to, failure f,
                                                         errc code, std::string_view text) {
    shared.counters.note(f);
    std::string line = to_string(to);
    line.append(": ").append(text);
    return fail(code, std::move(line), f);
}

}  // namespace keepstore::net
