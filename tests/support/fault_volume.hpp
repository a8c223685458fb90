/// A volume around another one that fails on demand, at a chosen byte: for what a real disk will not do when asked.
/// The wrapped volume keeps the pristine data; the plan of faults is here and may be changed between calls.
#pragma once

#include "base/limits.hpp"
#include "pool/buffer_pool.hpp"
#include "volumes/volume.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace keepstore::test {

struct fault_plan {
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t fail_append_at = never;  ///< The append that reaches this offset fails.
    std::uint64_t fail_read_at = never;    ///< Reads that reach this offset fail.
    std::uint64_t flip_from = never;       ///< Bytes read from this offset on are wrong: changed under the reader.
    bool streams = false;                  ///< Readers say that they are streams.
    bool pieces = true;                    ///< Streams have read_piece().
    std::uint64_t empty_piece_at = never;  ///< Once no bytes come there, although it is not the end.
    bool fail_create = false;
    bool fail_commit = false;
    bool fail_read_back = false;
    bool touch_says_not_found = false;   ///< As if the block was trashed just before.
    bool throws = false;                 ///< open() and trash() meet the end of memory.
    volumes::volume_states states = {};  ///< As they are reported.
    /// Calls that may block do not end, except those that have an alternative: the volume stalls.
    bool stalls_reads = false;
    bool stalls_writes = false;
    std::uint64_t stalls_after = never;        ///< The append that reaches this offset makes stalls_writes true.
    std::uint64_t stalls_reads_after = never;  ///< The same of comparisons and stalls_reads.
    error with{errc::io_error, "injected fault"};
};

class fault_volume final : public volumes::volume {
  public:
    explicit fault_volume(std::shared_ptr<volumes::volume> inner) : inner_(std::move(inner)) {}

    fault_plan plan;
    pool::buffer_pool stream_memory{limits::chunk_size_bytes};  ///< Of pieces of streams.
    int appends = 0;
    int touches = 0;
    int reads = 0;                  ///< Of stored bytes.
    int waits = 0;                  ///< Calls that waited for a stalled volume.
    std::size_t queue_bytes = 0;    ///< As it was set for the last writer.
    int end_stall_after_waits = 0;  ///< The stall ends with this one; 0: never.
    /// Called again and again while a call waits. \returns whether the stall goes on.
    std::function<bool()> while_stalled = [] { return true; };

    const std::string& device_id() const noexcept override { return inner_->device_id(); }
    awaitable<result<std::unique_ptr<volumes::block_reader>>> open(md5_digest name, deadline until) override {
        if (plan.throws) throw std::bad_alloc();
        KS_CO_CHECK(co_await pass(&fault_plan::stalls_reads, until));
        KS_CO_TRY(auto opened, co_await inner_->open(name, until));
        co_return std::make_unique<reader>(*this, std::move(opened));
    }
    awaitable<result<std::unique_ptr<volumes::block_writer>>> create(md5_digest name, std::optional<std::uint64_t> size,
                                                                     deadline until) override {
        if (plan.fail_create) co_return std::unexpected(plan.with);
        KS_CO_TRY(auto created, co_await inner_->create(name, size, until));
        co_return std::make_unique<writer>(*this, std::move(created));
    }
    awaitable<result<void>> touch(md5_digest name, deadline until) override {
        ++touches;
        KS_CO_CHECK(co_await pass(&fault_plan::stalls_writes, until));
        if (plan.touch_says_not_found) co_return fail(errc::not_found);
        co_return co_await inner_->touch(name, until);
    }
    awaitable<result<volumes::block_time>> mtime(md5_digest name, deadline until) override {
        return inner_->mtime(name, until);
    }
    awaitable<result<volumes::trash_outcome>> trash(md5_digest name, volumes::trash_options o,
                                                    deadline until) override {
        if (plan.throws) throw std::bad_alloc();
        return inner_->trash(name, o, until);
    }
    awaitable<result<void>> untrash(md5_digest name, deadline until) override { return inner_->untrash(name, until); }
    awaitable<result<volumes::empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        return inner_->empty_trash(concurrency, until);
    }
    awaitable<result<void>> index(std::string prefix, volumes::index_sink& sink, deadline until) override {
        return inner_->index(std::move(prefix), sink, until);
    }
    volumes::volume_stats stats() const override { return inner_->stats(); }
    volumes::volume_states state() const override { return plan.states; }
    std::string health() const override { return inner_->health(); }

    /// A call on a stalled volume: with an alternative it ends at once, without one when the test ends the stall.
    [[nodiscard]] awaitable<result<void>> pass(bool fault_plan::* stalls, deadline until) {
        if (!(plan.*stalls)) co_return success();
        if (until.ends_at_stall()) co_return fail(errc::unavailable, "volume does not respond");
        ++waits;
        asio::steady_timer timer(co_await asio::this_coro::executor);
        while (plan.*stalls) {
            if (end_stall_after_waits > 0 && waits >= end_stall_after_waits) plan.*stalls = false;
            if (!while_stalled()) plan.*stalls = false;
            if (until.passed()) co_return fail(errc::timeout, "volume does not respond");
            timer.expires_after(std::chrono::milliseconds(1));
            const auto [stopped] = co_await timer.async_wait(use_tuple);
            if (stopped) co_return fail(errc::cancelled);
        }
        co_return success();
    }

  private:
    class reader final : public volumes::block_reader {
      public:
        reader(fault_volume& home, std::unique_ptr<volumes::block_reader> inner)
            : home_(home), inner_(std::move(inner)) {}
        std::uint64_t size() const noexcept override { return inner_->size(); }
        bool streams() const noexcept override { return home_.plan.streams; }
        awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into, deadline until) override {
            ++home_.reads;
            if (offset + into.size() > home_.plan.fail_read_at) co_return std::unexpected(home_.plan.with);
            KS_CO_CHECK(co_await home_.pass(&fault_plan::stalls_reads, until));
            auto count = co_await inner_->read_at(offset, into, until);
            if (!count || offset + *count <= home_.plan.flip_from) co_return count;
            const std::uint64_t from = home_.plan.flip_from > offset ? home_.plan.flip_from - offset : 0;
            for (std::size_t i = static_cast<std::size_t>(from); i < *count; ++i) into.bytes[i] ^= std::byte{1};
            co_return count;
        }
        awaitable<result<const_slice>> read_piece(std::uint64_t offset, std::size_t want, deadline until) override {
            if (!streams() || !home_.plan.pieces) co_return fail(errc::unsupported);
            if (offset == home_.plan.empty_piece_at) {
                home_.plan.empty_piece_at = fault_plan::never;
                co_return const_slice{};
            }
            KS_CO_TRY(const auto chunk, co_await home_.stream_memory.acquire(until));
            const auto into = chunk.subslice(0, want);
            KS_CO_TRY(const auto count, co_await read_at(offset, into, until));
            co_return into.freeze(count);
        }
        awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes, deadline until) override {
            if (offset + bytes.size() > home_.plan.fail_read_at) co_return std::unexpected(home_.plan.with);
            if (offset + bytes.size() > home_.plan.stalls_reads_after) home_.plan.stalls_reads = true;
            KS_CO_CHECK(co_await home_.pass(&fault_plan::stalls_reads, until));
            co_return co_await inner_->equals_at(offset, std::move(bytes), until);
        }
        awaitable<result<std::vector<std::byte>>> read_attribute(std::string name, deadline until) override {
            return inner_->read_attribute(std::move(name), until);
        }
        awaitable<result<void>> write_attribute(std::string name, std::vector<std::byte> value,
                                                deadline until) override {
            return inner_->write_attribute(std::move(name), std::move(value), until);
        }

      private:
        fault_volume& home_;
        std::unique_ptr<volumes::block_reader> inner_;
    };

    class writer final : public volumes::block_writer {
      public:
        writer(fault_volume& home, std::unique_ptr<volumes::block_writer> inner)
            : home_(home), inner_(std::move(inner)) {}
        awaitable<result<void>> append(const_slice bytes, deadline until) override {
            ++home_.appends;
            if (appended_ + bytes.size() > home_.plan.stalls_after) home_.plan.stalls_writes = true;
            KS_CO_CHECK(co_await home_.pass(&fault_plan::stalls_writes, until));
            if (appended_ + bytes.size() > home_.plan.fail_append_at) co_return std::unexpected(home_.plan.with);
            appended_ += bytes.size();
            co_return co_await inner_->append(std::move(bytes), until);
        }
        void set_queue_bytes(std::size_t n) noexcept override {
            home_.queue_bytes = n;
            inner_->set_queue_bytes(n);
        }
        awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline until) override {
            if (home_.plan.fail_read_back) co_return std::unexpected(home_.plan.with);
            co_return co_await inner_->read_back(offset, std::move(into), until);
        }
        awaitable<result<void>> commit(std::optional<std::pair<std::string, std::vector<std::byte>>> attribute,
                                       deadline until) override {
            if (home_.plan.fail_commit) co_return std::unexpected(home_.plan.with);
            KS_CO_CHECK(co_await home_.pass(&fault_plan::stalls_writes, until));
            co_return co_await inner_->commit(std::move(attribute), until);
        }

      private:
        fault_volume& home_;
        std::unique_ptr<volumes::block_writer> inner_;
        std::uint64_t appended_ = 0;
    };

    std::shared_ptr<volumes::volume> inner_;
};

}  // namespace keepstore::test
