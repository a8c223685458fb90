/// Streams and kernels for tests of the digest engine. An engine's worker may still be inside post(), signalling, when
/// the coroutine that it woke is through: contexts must outlive the engine, so tests declare them before it.
#pragma once

#include "digest/engine.hpp"
#include "digest/md5_lanes.hpp"
#include "tests/digest/random_bytes.hpp"
#include "tests/support/run.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <span>
#include <stdexcept>
#include <vector>

namespace keepstore::digest {

using bytes = std::vector<std::byte>;
using test::run_on;

/// Bytes that tell when the last share is gone.
class counted_buffer final : public buffer_owner {
  public:
    counted_buffer(bytes b, std::atomic<int>& alive) : content(std::move(b)), alive_(alive) { ++alive_; }
    const bytes content;

  private:
    void recycle() noexcept override {
        --alive_;
        delete this;
    }
    std::atomic<int>& alive_;
};

inline const_slice counted_slice(std::size_t size, std::atomic<int>& alive) {
    auto* const buffer = new counted_buffer(bytes(size), alive);
    return {buffer->content, buffer_ref(buffer)};
}

/// A kernel that stands still at a gate, so that a test decides when a pass ends. The gate is open
/// at first.
class gate {
  public:
    void close() {
        const std::lock_guard lock(mutex_);
        open_ = false;
    }
    void open() {
        {
            const std::lock_guard lock(mutex_);
            open_ = true;
        }
        changed_.notify_all();
    }
    void pass() {
        std::unique_lock lock(mutex_);
        waiting_ += 1;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
        waiting_ -= 1;
    }
    void await_arrival() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return waiting_ > 0; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    int waiting_ = 0;
};

inline gate test_gate;

inline void gated_compress(std::span<const md5_lane> lanes, std::size_t blocks) {
    test_gate.pass();
    md5_kernels().back().compress(lanes, blocks);
}

inline const md5_kernel gated_kernel{"gated", 4, gated_compress};

struct hashed {
    md5_digest digest;
    std::vector<md5_state> waypoints;
};

inline awaitable<hashed> hash_in_pieces(engine& e, const bytes& data, std::size_t piece_max, std::uint64_t seed,
                                        md5_stream::options options) {
    std::mt19937_64 random(seed);
    md5_stream stream(e, options);
    for (std::size_t at = 0; at < data.size();) {
        const std::size_t size = std::min(data.size() - at, 1 + test::random_below(random, piece_max));
        const auto updated = co_await stream.update(copy_to_heap_slice(std::span(data).subspan(at, size)));
        if (!updated) throw std::runtime_error("update failed");
        at += size;
        if (random() % 16 == 0) {
            const auto drained = co_await stream.drain();
            if (!drained) throw std::runtime_error("drain failed");
        }
    }
    const auto digest = co_await stream.finish();
    if (!digest) throw std::runtime_error("finish failed");
    if (stream.length() != data.size()) throw std::runtime_error("wrong length");
    co_return hashed{*digest, stream.waypoints()};
}

}  // namespace keepstore::digest
