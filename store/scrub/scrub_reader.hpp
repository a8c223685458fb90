/// A stored copy as the scrub reads it: once, past the page cache, within the scrub's rate, and counted. Used on one
/// loop; several reads may run concurrently.
#pragma once

#include "base/async_semaphore.hpp"
#include "base/rate_limiter.hpp"
#include "store/scrub/scrub_clock.hpp"
#include "store/scrub/scrub_status.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <utility>

namespace keepstore::store {

class scrub_reader final : public volumes::block_reader {
  public:
    struct rules {
        async_semaphore& reads;  ///< A permit for each read in flight.
        rate_limiter& rate;
        scrub_clock& clock;
        scrub_record& record;
    };

    scrub_reader(std::unique_ptr<volumes::block_reader> copy, const rules& r) : copy_(std::move(copy)), rules_(r) {
        copy_->bypass_caches();
    }

    std::uint64_t size() const noexcept override { return copy_->size(); }

    awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into, deadline until) override {
        KS_CO_TRY(const auto turn, co_await wait_for_turn(rules_, into.size()));
        auto got = co_await copy_->read_at(offset, std::move(into), until);
        if (got) rules_.record.read(*got);
        co_return got;
    }

    awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes, deadline until) override {
        return copy_->equals_at(offset, std::move(bytes), until);
    }
    awaitable<result<std::vector<std::byte>>> read_attribute(std::string name, deadline until) override {
        return copy_->read_attribute(std::move(name), until);
    }
    awaitable<result<void>> write_attribute(std::string name, std::vector<std::byte> value, deadline until) override {
        return copy_->write_attribute(std::move(name), std::move(value), until);
    }

    /// Waits until `bytes` may be read, for reads that do not go through a scrub_reader.
    /// \returns the permit, to be kept until the read is over; errc::cancelled.
    [[nodiscard]] static awaitable<result<async_semaphore::permit>> wait_for_turn(rules by, std::uint64_t bytes) {
        if (const bool paid = co_await wait_for_rate(by, bytes); !paid) co_return fail(errc::cancelled);
        co_return co_await by.reads.acquire(deadline::never());
    }

  private:
    /// \returns false if the caller was cancelled.
    static awaitable<bool> wait_for_rate(rules by, std::uint64_t bytes) {
        rate_limiter::ticket ticket(by.rate, bytes);
        while (true) {
            const auto wait = ticket.try_take(by.clock.now());
            if (wait == rate_limiter::clock::duration::zero()) co_return true;
            if (const bool slept = co_await by.clock.sleep(wait); !slept) co_return false;
        }
    }

    const std::unique_ptr<volumes::block_reader> copy_;
    const rules rules_;
};

}  // namespace keepstore::store
