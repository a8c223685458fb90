/// The order of attempts at several servers for one block: each in the given order, then, after a pause, those whose
/// failure may be temporary, as Keep clients do (docs/interface.md 7.2). Used by one coroutine.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::protocol {

class retry_schedule {
  public:
    /// Servers are numbered from 0. No pause extends past `until`.
    retry_schedule(std::size_t servers, deadline until);

    /// Returns the next server to try; suspends between rounds. Nothing: the attempts are over, see outcome().
    [[nodiscard]] awaitable<std::optional<std::size_t>> next();
    /// Reports that the server from next() failed. errc::cancelled ends the attempts.
    void failed(std::size_t server, error why);

    /// Sums up all failures: `cancelled`; else `unavailable` or `timeout` if a server may have the block; else
    /// `checksum_mismatch` if one has bad bytes; else `not_found`. The text has the error of each server.
    [[nodiscard]] error outcome() const;
    /// Whether every server was out of reach. A server that our own rules exclude does not count as such.
    [[nodiscard]] bool all_unreachable() const;

  private:
    const deadline until_;
    std::vector<std::size_t> now_;    // Of this round, the next one last.
    std::vector<std::size_t> again_;  // For the next round, in order.
    unsigned rounds_left_;
    unsigned pauses_ = 0;
    std::map<std::size_t, error> last_;  // The last error of each server.
    bool cancelled_ = false;
};

}  // namespace keepstore::protocol
