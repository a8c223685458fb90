#include "digest/engine.hpp"

#include "digest/engine_core.hpp"
#include "digest/limits.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace keepstore::digest {
namespace {

// Abandons a batch when its caller leaves, for whatever reason.
class batch_guard {
  public:
    batch_guard(engine::core& core, segment_batch& batch) : core_(core), batch_(batch) {}
    ~batch_guard() { core_.abandon(batch_.jobs); }
    batch_guard(const batch_guard&) = delete;
    batch_guard& operator=(const batch_guard&) = delete;

  private:
    engine::core& core_;
    segment_batch& batch_;
};

}  // namespace

engine::engine(unsigned threads) : engine(threads, default_md5_kernel()) {}
engine::engine(unsigned threads, const md5_kernel& kernel) : core_(std::make_unique<core>(threads, kernel)) {}
engine::~engine() = default;

engine::stats engine::snapshot() const {
    constexpr auto relaxed = std::memory_order_relaxed;
    return {.bytes_total = core_->bytes_total.load(relaxed),
            .bytes_single_total = core_->bytes_single_total.load(relaxed),
            .passes_total = core_->passes_total.load(relaxed),
            .lanes_used_total = core_->lanes_used_total.load(relaxed),
            .wakeups_total = core_->wakeups_total.load(relaxed),
            .workers_asleep = core_->workers_asleep()};
}

void engine::flush() {
    core_->flush_all();
}

std::string_view engine::target() const noexcept {
    return core_->kernel.name;
}
std::size_t engine::lanes() const noexcept {
    return core_->kernel.lanes;
}

awaitable<result<md5_state>> engine::compress(md5_state from, const_slice whole_blocks) {
    md5_segment segment{from, std::move(whole_blocks)};
    KS_CO_CHECK(co_await compress_all(std::span(&segment, 1)));
    co_return segment.state;
}

awaitable<result<void>> engine::compress_all(std::span<md5_segment> segments) {
    std::size_t bytes = 0;
    std::size_t occupied = 0;
    for (const md5_segment& segment : segments) {
        if (segment.blocks.size() % md5_block_bytes != 0) {
            co_return fail(errc::io_error, "digest segment is not a whole number of MD5 blocks");
        }
        bytes += segment.blocks.size();
        occupied += segment.blocks.size() != 0 ? 1 : 0;
    }
    if (bytes <= limits::digest_inline_bytes_max) {
        for (md5_segment& segment : segments) md5_compress(segment.state, segment.blocks.bytes);
        core_->count_inline(bytes);
        co_return success();
    }

    const auto batch = std::make_shared<segment_batch>(occupied);
    auto job = batch->jobs.begin();
    for (const md5_segment& segment : segments) {
        if (segment.blocks.size() == 0) continue;
        job->owner = core_.get();
        job->batch = batch.get();
        job->state = segment.state;
        job->pieces.push(segment.blocks);
        ++job;
    }
    core_->submit(batch);
    const batch_guard guard(*core_, *batch);
    KS_CO_CHECK(co_await batch->done.wait());

    job = batch->jobs.begin();
    for (md5_segment& segment : segments) {
        if (segment.blocks.size() != 0) segment.state = (job++)->state;
    }
    co_return success();
}

md5_stream::md5_stream(engine& e, options o) : queue_bytes_(o.queue_bytes), job_(std::make_shared<hash_job>()) {
    if (o.waypoint_stride % md5_block_bytes != 0) {
        throw std::invalid_argument("waypoint stride is not a multiple of 64");
    }
    job_->owner = &e.get_core();
    if (o.offset % md5_block_bytes != 0) {
        throw std::invalid_argument("offset of a stream is not a multiple of 64");
    }
    job_->waypoint_stride = o.waypoint_stride;
    job_->state = o.from;
    job_->hashed = o.offset;
    job_->deferrable = o.deferrable;
    job_->batching = o.batching;
    if (o.batching) job_->owner->streams_batching.fetch_add(1, std::memory_order_relaxed);
    length_ = o.offset;
}

md5_stream::~md5_stream() {
    if (!job_) return;
    if (job_->batching) job_->owner->streams_batching.fetch_sub(1, std::memory_order_relaxed);
    // Not busy: no worker knows the job.
    if (job_->busy.load(std::memory_order_acquire)) {
        job_->owner->abandon(std::span(job_.get(), 1));
    }
}

md5_stream::md5_stream(md5_stream&& other) noexcept = default;

md5_stream& md5_stream::operator=(md5_stream&& other) noexcept {
    if (this == &other) return *this;
    const md5_stream old(std::move(*this));  // Drops what this one had queued.
    queue_bytes_ = other.queue_bytes_;
    length_ = other.length_;
    job_ = std::move(other.job_);
    return *this;
}

awaitable<result<void>> md5_stream::update(const_slice piece) {
    const auto job = job_;
    const std::size_t size = piece.size();
    length_ += size;
    if (size == 0) co_return success();
    if (size <= limits::digest_inline_bytes_max && !job->busy.load(std::memory_order_acquire)) {
        job->absorb(piece.bytes);
        job->owner->count_inline(size);
        co_return success();
    }
    const auto room = job->owner->submit(job, std::move(piece), queue_bytes_);
    if (!room) co_return success();
    co_return co_await room->wait();
}

void md5_stream::set_queue_bytes(std::size_t bytes) noexcept {
    queue_bytes_ = bytes;
}

void md5_stream::flush() {
    if (job_->busy.load(std::memory_order_acquire)) job_->owner->flush(*job_);
}

void md5_stream::keep_alone() noexcept {
    job_->alone = true;
    job_->deferrable = false;
}

bool md5_stream::busy() const noexcept {
    return job_->busy.load(std::memory_order_acquire);
}

awaitable<result<void>> md5_stream::drain() {
    const auto job = job_;
    const auto idle = job->owner->await_idle(*job);
    if (!idle) co_return success();
    co_return co_await idle->wait();
}

awaitable<result<md5_digest>> md5_stream::finish() {
    const auto job = job_;
    KS_CO_CHECK(co_await drain());
    co_return job->finish();
}

std::uint64_t md5_stream::length() const noexcept {
    return length_;
}
std::vector<md5_state> md5_stream::waypoints() const {
    return job_->waypoints;
}
md5_state md5_stream::state() const {
    return job_->state;
}

}  // namespace keepstore::digest
