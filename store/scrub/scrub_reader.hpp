/// A stored copy as a scrub reads it: once, past the caches, at the scrub's rate, and counted.
/// Used on one loop; reads may run side by side.
#pragma once

#include "store/scrub/rate_limiter.hpp"
#include "store/scrub/scrub_clock.hpp"
#include "store/scrub/scrub_gate.hpp"
#include "store/scrub/scrub_status.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <utility>

namespace keepstore::store {

class scrub_reader final : public volumes::block_reader {
  public:
    struct rules {
        scrub_gate& reads;  ///< How many reads may be in flight.
        scrub_pace& pace;
        scrub_clock& clock;
        scrub_record& record;
    };

    scrub_reader(std::unique_ptr<volumes::block_reader> copy, const rules& r) : copy_(std::move(copy)), rules_(r) {
        copy_->bypass_caches();
    }

    std::uint64_t size() const noexcept override { return copy_->size(); }

    awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into, deadline until) override {
        const auto turn = co_await wait_for_turn(rules_, into.size());
        if (!turn) co_return fail(errc::cancelled);
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

    /// For those who read by other means: waits until so many bytes may be read. \returns the place of the read, to be
    /// kept until it is over; empty if the caller was cancelled.
    [[nodiscard]] static awaitable<scrub_gate::pass> wait_for_turn(rules by, std::uint64_t bytes) {
        if (const bool paid = co_await wait_for_pace(by, bytes); !paid) co_return scrub_gate::pass();
        co_return co_await by.reads.enter();
    }

  private:
    static awaitable<bool> wait_for_pace(rules by, std::uint64_t bytes) {
        scrub_pace::place place(by.pace, bytes);
        while (true) {
            const auto wait = place.take(by.clock.now());
            if (wait == scrub_pace::clock::duration::zero()) co_return true;
            if (const bool slept = co_await by.clock.sleep(wait); !slept) co_return false;
        }
    }

    const std::unique_ptr<volumes::block_reader> copy_;
    const rules rules_;
};

}  // namespace keepstore::store
