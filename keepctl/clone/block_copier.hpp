/// Brings one object of a keepstore's bucket, and its marker, to another bucket. Never deletes, and overwrites an
/// object only after reading it and finding that it is not the block.
///
///     inside the service   COPY block ──► ETag is the name? ── no: GET of the copy, MD5 ──► COPY marker
///     through this host    GET ──► MD5 side by side with PUT, Content-MD5 = name        ──► PUT marker
///
/// The marker comes last: a daemon that sees a block without one takes the block's own time.
/// Used from one event loop; calls run concurrently.
#pragma once

#include "base/async.hpp"
#include "base/async_semaphore.hpp"
#include "base/rate_limiter.hpp"
#include "digest/engine.hpp"
#include "keepctl/clone/clone_bucket.hpp"
#include "keepctl/clone/limits.hpp"
#include "keepctl/clone/segment_merge.hpp"
#include "keepctl/cluster/limits.hpp"
#include "pool/buffer_pool.hpp"
#include "protocol/proven_stream.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

enum class clone_mode : unsigned char { automatic, server_side, stream };
[[nodiscard]] std::string_view to_string(clone_mode mode) noexcept;

/// How a copy inside the service is proven.
enum class clone_proof : unsigned char {
    etag,  ///< By its ETag, or, where that is no MD5, by reading the copy.
    read,  ///< By reading every copy.
    none,  ///< The service is trusted.
};
[[nodiscard]] std::string_view to_string(clone_proof proof) noexcept;

struct copier_options {
    clone_mode mode = clone_mode::automatic;
    clone_proof proof = clone_proof::etag;
    std::size_t memory_bytes = limits::keepctl_memory_default;
    unsigned digest_threads = 1;
    std::uint64_t bandwidth = 0;  ///< Bytes of blocks per second, copied inside the service or read here; 0: no limit.
};

/// One object of the source, and what the target has under its name.
struct clone_task {
    md5_digest name;
    object_kind kind = object_kind::block;  ///< Or trash.
    std::uint32_t size = 0;
    std::string etag;                            ///< Of the source's listing.
    std::optional<md5_digest> content_md5 = {};  ///< Of the source's listing.
    bool source_marker = false;
    bool target_marker = false;
    std::optional<object_cursor::object> target = {};
};

class block_copier {
  public:
    enum class outcome : unsigned char { copied, present, replaced, gone, bad_source, failed, cancelled };
    struct attempt {
        outcome end;
        error why = errc::cancelled;
        std::uint64_t bytes = 0;  ///< That were copied.
        std::uint64_t reads = 0;  ///< Of objects that no ETag proves.
        bool may_pass = false;    ///< Another attempt may succeed.
        bool ends_run = false;    ///< No other block would succeed.
        bool of_source = false;   ///< It is the source's failure.
    };

    /// `note` gets lines for the operator. The buckets outlive it.
    block_copier(const clone_bucket& source, const clone_bucket& target, const copier_options& options,
                 std::function<void(std::string)> note);

    /// Whether the listings show that nothing is to be done.
    [[nodiscard]] bool is_present(const clone_task& task) const;
    /// Awaited in place.
    [[nodiscard]] awaitable<attempt> copy(const clone_task& task);

    /// `automatic` until the first copy has been tried.
    [[nodiscard]] clone_mode mode() const noexcept { return mode_; }

  private:
    /// What a step failed with, and at which end.
    struct failure {
        error why;
        bool of_source = false;
    };
    using step = std::expected<void, failure>;
    /// What one block needs and leaves on its way.
    struct progress {
        deadline until;
        std::uint64_t reads = 0;
        std::optional<stored_copy> stored = {};     ///< If the block went through here.
        std::optional<std::string> waypoints = {};  ///< The same, as the services keep them.
    };

    [[nodiscard]] bool source_suspect(const clone_task& task) const;
    [[nodiscard]] bool target_suspect(const clone_task& task) const;
    [[nodiscard]] awaitable<step> bring(const clone_task& task, progress& on);
    [[nodiscard]] awaitable<step> copy_in_service(const clone_task& task, progress& on);
    [[nodiscard]] awaitable<step> copy_through(const clone_task& task, progress& on);
    [[nodiscard]] awaitable<step> bring_marker(const clone_task& task, progress& on);
    /// Reads an object. errc::checksum_mismatch if it is not the block.
    [[nodiscard]] awaitable<result<void>> prove(const clone_bucket& of, const clone_task& task, progress& on);
    [[nodiscard]] awaitable<attempt> work_on(const clone_task& task, progress& on);
    [[nodiscard]] static attempt end_of(failure why);

    const clone_bucket& source_;
    const clone_bucket& target_;
    const copier_options options_;
    const std::function<void(std::string)> note_;
    clone_mode mode_;
    async_semaphore deciding_{1};            // The first copy decides about the mode.
    bool source_etags_known_other_ = false;  // They have the form of an MD5 and are none.
    bool target_etags_known_other_ = false;
    digest::engine engine_;
    pool::buffer_pool pool_;
    rate_limiter bandwidth_;
};

}  // namespace keepstore::keepctl
