/// One block for several targets: read, and proven if need be, once, and given to all of them concurrently.
///
///     stream_tee tee(bytes, 2);
///     when_all: tee.run(until)   target.store(tee.branch(0))   target.store(tee.branch(1))
///
/// Each branch holds at most limits::keepctl_queue_bytes of pieces, which all share: the slowest target sets the pace.
/// A target that has ended, or failed, closes its branch, and the others go on. A branch never lacks a piece in the
/// middle: after one that it did not get it only has errors.
///
/// Used from one event loop; outlives the calls. Each branch is used by one coroutine.
#pragma once

#include "base/async_queue.hpp"
#include "protocol/proven_stream.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace keepstore::keepctl {

class stream_tee {
  public:
    class branch final : public protocol::block_stream {
      public:
        explicit branch(protocol::block_stream& from);

        [[nodiscard]] std::uint64_t size() const noexcept override { return from_.size(); }
        [[nodiscard]] awaitable<result<const_slice>> next(deadline until) override;
        /// The target is not what failed.
        [[nodiscard]] bool source_failed() const noexcept override { return failed_ && from_.source_failed(); }
        [[nodiscard]] std::optional<std::vector<std::byte>> waypoints() const override { return from_.waypoints(); }

        /// The target needs no more: run() no longer waits for it.
        void close() { pieces_.close(); }

      private:
        friend class stream_tee;
        /// The next piece did not get there in time: without it the branch can have none of the later ones.
        void give_up(error why);

        protocol::block_stream& from_;
        async_queue<result<const_slice>> pieces_;
        std::optional<error> given_up_ = {};
        bool failed_ = false;
    };

    /// `from` outlives it.
    stream_tee(protocol::block_stream& from, std::size_t branches);

    [[nodiscard]] branch& at(std::size_t number) { return *branches_[number]; }
    /// Reads the block to its end, or until no branch is left. Awaited concurrently with the targets.
    [[nodiscard]] awaitable<void> run(deadline until);

  private:
    protocol::block_stream& from_;
    std::vector<std::unique_ptr<branch>> branches_;
};

}  // namespace keepstore::keepctl
