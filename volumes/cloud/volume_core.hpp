/// The shared state of a volume in the cloud. Held by the volume, its readers, writers and tasks; safe to use from any
/// thread. Each service derives its own, which makes the requests.
#pragma once

#include "base/md5_digest.hpp"
#include "volumes/cloud/chunk_memory.hpp"
#include "volumes/cloud/circuit_breaker.hpp"
#include "volumes/cloud/cloud_options.hpp"
#include "volumes/cloud/download_table.hpp"
#include "volumes/cloud/download_turns.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/multipart_policy.hpp"
#include "volumes/cloud/object_source.hpp"
#include "volumes/cloud/parallel_listing.hpp"
#include "volumes/cloud/part_buffers.hpp"
#include "volumes/cloud/place.hpp"
#include "volumes/cloud/task_group.hpp"
#include "volumes/cloud/upload_target.hpp"
#include "volumes/queued_bytes.hpp"
#include "volumes/volume.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace keepstore::volumes::cloud {

struct core_options : cloud_options {
    place where;
    /// Of the metadata's names; see metadata_name().
    char name_separator = '-';
};

class volume_core {
  public:
    explicit volume_core(core_options o);
    /// A derived class stops the loops in its destructor, since their tasks use its members.
    virtual ~volume_core() = default;
    volume_core(const volume_core&) = delete;
    volume_core& operator=(const volume_core&) = delete;

    const core_options setup;
    const std::shared_ptr<circuit_breaker> breaker;
    const std::shared_ptr<chunk_memory> memory;
    download_table downloads;
    std::atomic<unsigned> unsized_uploads{0};
    queued_bytes queued;  ///< By uploads of known length, sent whole.
    multipart_policy upload_policy;
    part_buffers upload_buffers{limits::cloud_parallel_part_buffers};
    multipart_policy download_policy;
    part_buffers download_buffers{limits::cloud_parallel_range_buffers};
    download_turns turns;
    task_group loops;  // Last: its tasks use the others.

    [[nodiscard]] virtual std::shared_ptr<object_source> make_source(download_target what) = 0;
    [[nodiscard]] virtual std::unique_ptr<upload_target> make_target(const md5_digest& name) = 0;
    [[nodiscard]] virtual std::shared_ptr<part_session> make_session(const md5_digest& name) = 0;
    /// Whether upload_target::store() of a block of this size compares it with a stored one
    /// (volume::compares_on_commit).
    [[nodiscard]] virtual bool compares(std::uint64_t size) const = 0;
    /// Lists a page: one call, reported to the circuit breaker.
    [[nodiscard]] virtual awaitable<result<protocol::list_page>> list(protocol::list_options where, deadline until) = 0;
    /// Returns whether the names that begin with these digits (lower-case hex, at most 32) take more than a page.
    [[nodiscard]] virtual awaitable<result<bool>> needs_pages(std::string digits, deadline until) = 0;
    /// Lists the names that begin with these digits, and puts them in batches. Several run concurrently.
    [[nodiscard]] virtual awaitable<result<void>> list_range(parallel_listing& into, std::string digits) = 0;

    // The life of a block, as in volumes/volume.hpp, by the rules that other daemons on the same place rely on. On a
    // loop of the volume.
    [[nodiscard]] virtual awaitable<result<void>> touch(md5_digest name, deadline until) = 0;
    [[nodiscard]] virtual awaitable<result<block_time>> mtime(md5_digest name, deadline until) = 0;
    [[nodiscard]] virtual awaitable<result<trash_outcome>> trash(md5_digest name, trash_options how,
                                                                 deadline until) = 0;
    [[nodiscard]] virtual awaitable<result<void>> untrash(md5_digest name, deadline until) = 0;
    /// Page by page, with `workers` at a time. An object that cannot be processed is logged and left.
    [[nodiscard]] virtual awaitable<result<empty_trash_stats>> empty_trash(unsigned workers, deadline until) = 0;

    /// The counters of the client.
    [[nodiscard]] virtual const protocol::op_stats& client_stats() const = 0;
    /// How many requests the service has throttled so far.
    [[nodiscard]] virtual std::uint64_t requests_throttled() const { return 0; }

    /// The service's clock minus ours, as far as it is known.
    [[nodiscard]] virtual std::chrono::seconds clock_skew() const = 0;

    /// When an object was last changed, by the time that the service gives.
    [[nodiscard]] sys_seconds observed(const std::string& key, sys_seconds modified) const {
        return setup.observed_time ? setup.observed_time(key, modified) : modified;
    }

    /// The time by the service's clock, as far as it is known.
    [[nodiscard]] block_time now() const;
    /// For computing an age: the earlier of the service's time and ours. One server of many whose clock is wrong must
    /// not make a block or its trash look older than they are.
    [[nodiscard]] block_time now_at_most() const;
    /// For computing a remaining time: the later of the two.
    [[nodiscard]] block_time now_at_least() const;

    /// Reports the outcome of a call to the circuit breaker, and returns it.
    template <class T>
    result<T> noted(result<T> outcome) {
        breaker->note(outcome);
        return outcome;
    }

    /// A sentence that begins with the service's name: "S3 sent less than it announced".
    [[nodiscard]] std::string says(std::string_view predicate) const;
};

}  // namespace keepstore::volumes::cloud
