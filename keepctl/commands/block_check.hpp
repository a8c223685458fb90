/// Verifies the blocks that one or two places list, several at a time, and says what is wrong with them. Used on the
/// event loop of the command.
#pragma once

#include "keepctl/cluster/block_verifier.hpp"
#include "keepctl/cluster/merge.hpp"
#include "keepctl/commands/arguments.hpp"
#include "keepctl/commands/output.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace keepstore::keepctl {

class block_check {
  public:
    struct item {
        block_id block;
        difference state;
    };

    /// All must outlive it. Memory and concurrency are those of --memory and --jobs.
    block_check(const arguments& given, std::vector<block_place*> places, output& out);
    /// Why --memory is too small for --jobs; empty if it is not.
    [[nodiscard]] static std::string memory_problem(const arguments& given);

    /// Looks at the items that are `same`, several at a time, and sets those that are not the same after all:
    /// `differs` if a place has only bad copies, `unreadable` if that could not be found out. Says why on stderr.
    /// \returns errc::cancelled.
    [[nodiscard]] awaitable<result<void>> run(std::span<item> items);

    [[nodiscard]] std::uint64_t checked() const noexcept { return checked_; }

  private:
    struct work;
    awaitable<void> worker(work& shared);
    void say(block_id block, const block_place& place, const error& why);

    const unsigned jobs_;
    const std::vector<block_place*> places_;
    output& out_;
    block_verifier verifier_;
    std::uint64_t checked_ = 0;
    std::uint64_t said_ = 0;
};

}  // namespace keepstore::keepctl
