/// Proves, before copies of a block are trashed, that a kept one is good (--verify-kept): a server that keeps one, and
/// trashes none, reads and verifies it. A block without that proof is not trashed.
///
///     kept_proofs proofs(servers, jobs, head);
///     co_await proofs.filter(lists);     // What is left may be sent.
///
/// Used from one event loop. Holds one record for each block of the lists.
#pragma once

#include "base/async.hpp"
#include "keepctl/balance/planner.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace keepstore::keepctl::balance {

class kept_proofs {
  public:
    /// Has the server with this number verify its copies of a block. \returns the block's size.
    using verify_function = std::function<awaitable<result<std::uint64_t>>(std::size_t server, block_id block)>;

    /// `jobs`: blocks that are verified at a time.
    kept_proofs(std::size_t servers, unsigned jobs, verify_function verify);

    /// Removes what lacks its proof from the lists, which are one for each server. To be awaited once.
    /// \returns false when cancelled or stopped: then the lists are as they were.
    [[nodiscard]] awaitable<bool> filter(std::vector<std::vector<planned_trash>>& lists);
    /// Begins no more verifications.
    void stop() noexcept { stopped_ = true; }

    // --- results, in blocks ------------------------------------------------------------------------------------------
    [[nodiscard]] std::uint64_t proven() const noexcept { return proven_; }
    /// The copy that was to be kept is bad, or gone.
    [[nodiscard]] std::uint64_t bad() const noexcept { return bad_; }
    /// The server could not be asked.
    [[nodiscard]] std::uint64_t unknown() const noexcept { return unknown_; }
    /// Each server that keeps a copy trashes one, too: which of them it would read is not known.
    [[nodiscard]] std::uint64_t impossible() const noexcept { return impossible_; }
    /// About the first bad one, and the first that could not be asked.
    [[nodiscard]] const std::string& first_bad() const noexcept { return first_bad_; }
    [[nodiscard]] const std::string& first_unknown() const noexcept { return first_unknown_; }

  private:
    struct claim {
        block_id block;
        std::uint16_t server = 0;
        bool proven = false;
    };
    void collect(const std::vector<std::vector<planned_trash>>& lists);
    awaitable<void> work();
    awaitable<void> prove(claim& one);
    [[nodiscard]] bool has_proof(const planned_trash& item) const;

    const unsigned jobs_;
    const verify_function verify_;
    std::vector<unsigned> failures_in_a_row_;  // Of each server.
    std::vector<claim> claims_;                // Sorted by block.
    std::size_t next_ = 0;
    bool stopped_ = false;
    std::uint64_t proven_ = 0;
    std::uint64_t bad_ = 0;
    std::uint64_t unknown_ = 0;
    std::uint64_t impossible_ = 0;
    std::string first_bad_;
    std::string first_unknown_;
};

}  // namespace keepstore::keepctl::balance
