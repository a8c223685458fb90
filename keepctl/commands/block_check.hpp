/// Verifies blocks of two places that list them with the same size: a server reads and hashes its copies itself, all
/// others are read and hashed here. Used on the event loop of the command.
#pragma once

#include "digest/engine.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/merge.hpp"
#include "keepctl/commands/arguments.hpp"
#include "keepctl/commands/output.hpp"
#include "pool/buffer_pool.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace keepstore::keepctl {

class block_check {
  public:
    struct item {
        block_id block;
        difference state;
    };

    /// All must outlive it. Memory and concurrency are those of --memory and --jobs.
    block_check(const arguments& given, std::array<block_place*, 2> places, output& out);

    /// Looks at the items that are `same`, several at a time, and sets those that are not the same after all:
    /// `differs` if a place has only bad copies, `unreadable` if that could not be found out. Says why on stderr.
    /// \returns errc::cancelled.
    [[nodiscard]] awaitable<result<void>> run(std::span<item> items);

    [[nodiscard]] std::uint64_t checked() const noexcept { return checked_; }

  private:
    struct work;
    awaitable<void> worker(work& shared);
    awaitable<result<void>> check(block_place& place, block_id block);
    awaitable<result<void>> read(block_place& place, block_id block, std::size_t server);
    void say(block_id block, const block_place& place, const error& why);

    const unsigned jobs_;
    const std::array<block_place*, 2> places_;
    output& out_;
    digest::engine engine_;
    pool::buffer_pool pool_;
    std::uint64_t checked_ = 0;
    std::uint64_t said_ = 0;
};

}  // namespace keepstore::keepctl
