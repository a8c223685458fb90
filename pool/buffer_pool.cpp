#include "pool/buffer_pool.hpp"

#include "base/limits.hpp"
#include "pool/limits.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <new>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || (defined(__has_feature) && __has_feature(address_sanitizer))
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#endif

namespace keepstore::pool {
namespace {

// Chunks lie this far apart, so that their colours (multiples of the smallest direct-I/O alignment) fit between them.
constexpr std::size_t colour_step_bytes = 512;
constexpr std::size_t colours = 4096 / colour_step_bytes;
constexpr std::size_t chunk_stride_bytes = limits::chunk_size_bytes + 4096;
constexpr std::size_t chunks_per_slab = limits::slab_size_bytes / limits::chunk_size_bytes;
constexpr std::size_t slab_mapping_bytes = chunks_per_slab * chunk_stride_bytes;
constexpr std::size_t huge_page_bytes = 2 * MiB;

void* map_anonymous(std::size_t bytes) {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

// Maps a slab, in huge pages where the system gives them: every byte that is read, hashed and sent is copied in and
// out of it, with a translation to look up for each page. Null when there is no memory.
void* map_slab(buffer_pool::map_function map) {
    void* const memory = map(slab_mapping_bytes + huge_page_bytes);
    if (!memory) return nullptr;
    auto* const begin = static_cast<std::byte*>(memory);
    const std::size_t skipped =
        (huge_page_bytes - reinterpret_cast<std::uintptr_t>(begin) % huge_page_bytes) % huge_page_bytes;
    if (skipped > 0) munmap(begin, skipped);
    if (skipped < huge_page_bytes) munmap(begin + skipped + slab_mapping_bytes, huge_page_bytes - skipped);
    static_cast<void>(madvise(begin + skipped, slab_mapping_bytes, MADV_HUGEPAGE));
    return begin + skipped;
}

}  // namespace

class buffer_pool::chunk final : public buffer_owner {
  public:
    chunk(core& home, std::byte* data) : home_(home), data_(data) {}
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_, limits::chunk_size_bytes}; }
    void recycle() noexcept override;

  private:
    core& home_;
    std::byte* data_;
};

struct buffer_pool::core {
    // A chunk that was taken and is in no slice yet.
    struct returner {
        void operator()(chunk* c) const noexcept { c->recycle(); }
    };
    using taken_chunk = std::unique_ptr<chunk, returner>;
    using grant = one_shot<taken_chunk>;

    core(std::size_t budget, map_function m)
        : chunks_max(std::max<std::size_t>(1, (budget + limits::chunk_size_bytes - 1) / limits::chunk_size_bytes)),
          map(m ? m : map_anonymous) {}
    core(const core&) = delete;
    core& operator=(const core&) = delete;
    ~core() {
        for (void* slab : slabs) {
            ASAN_UNPOISON_MEMORY_REGION(slab, slab_mapping_bytes);
            munmap(slab, slab_mapping_bytes);
        }
    }

    const std::size_t chunks_max;
    const map_function map;

    mutable std::mutex mutex;
    // Guarded by mutex.
    std::vector<chunk*> free;  // A stack: the chunk used last is the one still in the processor's cache.
    std::vector<std::unique_ptr<chunk>> chunks;
    std::vector<void*> slabs;
    std::deque<grant> waiters;
    std::function<void()> on_exhausted = [] {};  // Constant once the pool is in use.
    std::size_t in_use = 0;
    std::uint64_t waits = 0;
    std::shared_ptr<core> self;  // Set when the pool was destroyed while chunks are in use, until the last comes back.

    // Takes a chunk from the stack or from a new slab; null when the budget is spent. With the mutex held.
    chunk* take() {
        if (free.empty() && !grow()) return nullptr;
        chunk* const c = free.back();
        free.pop_back();
        ++in_use;
        ASAN_UNPOISON_MEMORY_REGION(c->bytes().data(), c->bytes().size());
        return c;
    }

    bool grow() {
        const std::size_t count = std::min(chunks_per_slab, chunks_max - chunks.size());
        if (count == 0) return false;
        void* const memory = map_slab(map);
        if (!memory) return false;  // Waiters are served by chunks that come back.
        slabs.push_back(memory);
        auto* const base = static_cast<std::byte*>(memory);
        // In reverse, so that the stack hands out low addresses first and an idle daemon touches few pages.
        for (std::size_t i = count; i-- > 0;) {
            const std::size_t colour = (i % colours) * colour_step_bytes;
            chunks.push_back(std::make_unique<chunk>(*this, base + i * chunk_stride_bytes + colour));
            free.push_back(chunks.back().get());
            ASAN_POISON_MEMORY_REGION(free.back()->bytes().data(), limits::chunk_size_bytes);
        }
        return true;
    }

    static mutable_slice lease(chunk* c) { return {c->bytes(), buffer_ref(c)}; }

    void give_back(chunk* c) noexcept {
        std::shared_ptr<core> last;  // Destroyed after the lock was given up.
        const std::lock_guard lock(mutex);
        if (hand_on(c)) return;
        put_back(c);
        if (in_use == 0) last = std::move(self);
    }

    void put_back(chunk* c) noexcept {
        --in_use;
        ASAN_POISON_MEMORY_REGION(c->bytes().data(), c->bytes().size());
        free.push_back(c);
    }

    // Gives a chunk that is in use to the first waiter; false if there is none. With the mutex held.
    bool hand_on(chunk* c) noexcept {
        result<taken_chunk> held(c);
        while (!waiters.empty()) {
            const grant next = std::move(waiters.front());
            waiters.pop_front();
            // A waiter that was cancelled, and has not resumed yet, leaves the chunk for the next one.
            if (next.try_set(std::move(held))) return true;
        }
        static_cast<void>(held->release());
        return false;
    }

    // Waiters wait for chunks that come back because the system gave no memory: does it now? With the mutex held.
    void grow_for_waiters() {
        while (!waiters.empty()) {
            chunk* const c = take();
            if (!c) return;
            if (!hand_on(c)) put_back(c);
        }
    }
};

void buffer_pool::chunk::recycle() noexcept {
    home_.give_back(this);
}

buffer_pool::buffer_pool(std::size_t budget_bytes, map_function map)
    : core_(std::make_shared<core>(budget_bytes, map)) {}

buffer_pool::~buffer_pool() {
    // core_ is destroyed after the lock: at once, or with the last chunk.
    const std::lock_guard lock(core_->mutex);
    if (core_->in_use != 0) core_->self = core_;
}

void buffer_pool::on_exhausted(std::function<void()> callback) {
    core_->on_exhausted = std::move(callback);
}

std::optional<mutable_slice> buffer_pool::try_acquire() {
    const std::lock_guard lock(core_->mutex);
    if (!core_->waiters.empty()) return std::nullopt;
    chunk* const c = core_->take();
    if (!c) return std::nullopt;
    return core::lease(c);
}

awaitable<result<mutable_slice>> buffer_pool::acquire(deadline until) {
    const core::grant grant;
    {
        const std::lock_guard lock(core_->mutex);
        core_->grow_for_waiters();
        chunk* const c = core_->waiters.empty() ? core_->take() : nullptr;
        if (c) co_return core::lease(c);
        if (core_->in_use == 0) co_return fail(errc::unavailable, "the system gives no memory");
        ++core_->waits;
        core_->waiters.push_back(grant);
    }
    core_->on_exhausted();
    auto granted = co_await grant.wait(until, "no memory became free in time");
    if (granted) co_return core::lease(granted->release());
    const std::lock_guard lock(core_->mutex);
    std::erase_if(core_->waiters, [&](const core::grant& g) { return g.same_as(grant); });
    co_return std::unexpected(std::move(granted).error());
}

std::size_t buffer_pool::queue_bytes() const noexcept {
    const std::lock_guard lock(core_->mutex);
    const std::size_t free_chunks = core_->chunks_max - core_->in_use;
    // An eighth of what is free: many streams can start before the first has to shrink.
    return std::clamp(free_chunks / 8 * limits::chunk_size_bytes, limits::request_queue_bytes_min,
                      limits::request_queue_bytes_max);
}

buffer_pool::stats buffer_pool::snapshot() const {
    const std::lock_guard lock(core_->mutex);
    return {.budget_bytes = core_->chunks_max * limits::chunk_size_bytes,
            .allocated_bytes = core_->chunks.size() * limits::chunk_size_bytes,
            .in_use_bytes = core_->in_use * limits::chunk_size_bytes,
            .waiters = core_->waiters.size(),
            .waits_total = core_->waits};
}

}  // namespace keepstore::pool
