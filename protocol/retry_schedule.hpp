/// Which of several servers to ask next for a block: each in the given order, then once more those whose failure may
/// pass, after a pause, as Keep clients do (docs/interface.md 7.2). Used by one coroutine.
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
    /// Servers are numbered from 0. No pause goes beyond `until`.
    retry_schedule(std::size_t servers, deadline until);

    /// Suspends between rounds. Nothing: there is no use in asking on, outcome() says why.
    [[nodiscard]] awaitable<std::optional<std::size_t>> next();
    /// The server that next() named has failed. errc::cancelled ends it all.
    void failed(std::size_t server, error why);

    /// Of all failures: `cancelled` if that was it; `unavailable` or `timeout` where a server may have the block;
    /// `checksum_mismatch` where one has bad bytes; else `not_found`. The text has what each server said.
    [[nodiscard]] error outcome() const;
    /// Whether no server could be asked at all.
    [[nodiscard]] bool all_unreachable() const;

  private:
    const deadline until_;
    std::vector<std::size_t> now_;    // Of this round, the next one last.
    std::vector<std::size_t> again_;  // For the next round, in order.
    unsigned rounds_left_;
    unsigned pauses_ = 0;
    std::map<std::size_t, error> last_;  // What each server said last.
    bool cancelled_ = false;
};

}  // namespace keepstore::protocol
