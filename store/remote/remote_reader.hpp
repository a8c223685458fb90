/// Reads blocks of other clusters through to our clients (docs/interface.md 3.6 to 3.8): with the user's token salted
/// for that cluster, from the services that its API server lists. The bytes are hashed on the way, and the last piece
/// is withheld until the MD5 matches, so that wrong bytes never look like a complete block. Safe to use from any
/// thread.
#pragma once

#include "base/counter.hpp"
#include "protocol/remote_services.hpp"
#include "store/block_store.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace keepstore::store {

struct remote_read_request {
    protocol::locator block;  ///< is_remote().
    std::string token;        ///< The caller's first token, verbatim; empty if there is none.
    std::string request_id;
    bool head = false;  ///< Fetch and verify, send nothing.
    deadline until;
};

struct remote_counters : counter_set {
    counter blocks{*this, "keepstore_remote_blocks_total", "Blocks of other clusters read through, or stored here."};
    counter bytes{*this, "keepstore_remote_bytes_total", "Bytes of these."};
    /// The caller's mistakes are not counted.
    counter errors{*this, "keepstore_remote_errors_total", "Blocks of other clusters that could not be read."};
    counter bad_blocks{*this, "keepstore_remote_bad_blocks_total",
                       "Times that a remote keep service sent wrong bytes."};
};

class remote_reader {
  public:
    struct cluster {
        std::string id;
        net::endpoint api;
        const net::client* client;  ///< For the API server and the keep services. Outlives the reader.
    };

    /// `store` provides memory and hashing, and stores copies; it must outlive the reader.
    remote_reader(std::vector<cluster>, block_store& store, protocol::remote_services_options = {});
    ~remote_reader();
    remote_reader(const remote_reader&) = delete;
    remote_reader& operator=(const remote_reader&) = delete;

    /// Sends the whole block. A server that fails, also in mid-stream, is replaced by the next one.
    /// \returns its size. errc::unauthorized (no token), bad_request (hint, unknown cluster, obsolete token), io_error
    /// (token that cannot be salted), not_found (the cluster does not have it, or refuses), unavailable, timeout,
    /// checksum_mismatch (wrong bytes or size), cancelled. The texts name no server of the other cluster; the log does.
    [[nodiscard]] awaitable<result<std::uint64_t>> read(const remote_read_request&, byte_sink&);

    struct stored_copy {
        std::string locator;  ///< Of our cluster, signed for the caller's token.
        std::uint64_t size = 0;
    };
    /// Fetches the block and stores it here, on any writable mount. Errors as read() and block_write().
    [[nodiscard]] awaitable<result<stored_copy>> copy_here(const remote_read_request&);

    [[nodiscard]] const remote_counters& counters() const noexcept { return counters_; }

  private:
    friend class remote_read_operation;

    void count(const result<std::uint64_t>& size);

    block_store& store_;
    std::map<std::string, std::shared_ptr<protocol::remote_services>, std::less<>>
        clusters_;  // Constant after construction.
    remote_counters counters_;
};

}  // namespace keepstore::store
