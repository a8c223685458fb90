/// Sends a block in parts, which the service joins (S3: a multipart upload; Azure: a block list). A part is gathered in
/// memory of the upload (a writer must not hold that much of the pool) and sent when it is full and more comes; nothing
/// is visible before its completion at commit.
///
/// There are two reasons for it:
/// - The size is not known, and services want the length of everything first. Parts are sent one after the other; a
/// block of
///   at most one part becomes a plain PUT.
/// - The block is large and a single connection would be slow (volumes/cloud/multipart_policy.hpp). Parts are sent
///   concurrently, while further ones are gathered.
///
/// Dropped without commit, the upload is aborted when its last request has ended. If its creation was cancelled the
/// service may know an id that we do not: an orphan, as those of a killed daemon (volumes/s3/trash_sweep.cpp).
///
/// A writer's calls come from one coroutine at a time, of any executor; its tasks run on the volume's loops.
#pragma once

#include "base/async_condition.hpp"
#include "volumes/cloud/volume_core.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace keepstore::volumes::cloud {

class part_upload final : public std::enable_shared_from_this<part_upload> {
  public:
    /// For a block of unknown size. \returns errc::unavailable if there are too many already.
    [[nodiscard]] static result<std::shared_ptr<part_upload>> make_unsized(std::shared_ptr<volume_core> core,
                                                                           md5_digest name);
    /// For a block of more than one part, sent concurrently. \returns nullptr if there is no memory for it: then it is
    /// to be sent otherwise.
    [[nodiscard]] static std::shared_ptr<part_upload> make_parallel(std::shared_ptr<volume_core> core, md5_digest name,
                                                                    std::uint64_t size);

    /// Copies `bytes`; suspends while all buffers are full.
    [[nodiscard]] awaitable<result<void>> append(const_slice bytes, deadline until);
    /// Of no effect: appended bytes are copied.
    void set_queue_bytes(std::size_t) noexcept {}
    [[nodiscard]] awaitable<result<void>> commit(protocol::name_values metadata, deadline until);
    /// As long as no part was full.
    [[nodiscard]] result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> into) const;
    /// The last call. Cancels the tasks, and has the service drop the parts.
    void drop() noexcept;

  private:
    part_upload(std::shared_ptr<volume_core> core, md5_digest name, std::optional<std::uint64_t> size);

    // The writer's.
    void create(deadline until);
    [[nodiscard]] awaitable<result<void>> send_current(deadline until);
    [[nodiscard]] awaitable<result<void>> next_buffer(deadline until);
    /// Suspends the writer while `holds`, called with the mutex held, is true; ends early with the error of a task.
    [[nodiscard]] awaitable<result<void>> wait_while(std::function<bool()> holds, deadline until);

    // Tasks on the volume's loops.
    void start(awaitable<result<void>> task);
    void ended(const result<void>& outcome);
    static awaitable<result<void>> run_part(std::shared_ptr<part_upload> self, std::size_t index, mutable_slice buffer,
                                            std::size_t size, deadline until);
    void start_abort();

    // With the mutex held.
    [[nodiscard]] std::optional<mutable_slice> take_spare();
    /// Gives everything back if it is over. \returns whether the upload is to be aborted, without the mutex.
    [[nodiscard]] bool release_if_over();

    // Constant after construction.
    const std::shared_ptr<volume_core> core_;
    const md5_digest name_;
    const std::optional<std::uint64_t> size_;
    const std::shared_ptr<part_session> session_;
    const std::unique_ptr<upload_target> target_;  ///< For a block of at most one part.

    // Touched by the writer only.
    mutable_slice current_;  ///< Empty until the first append.
    std::size_t filled_ = 0;
    std::uint64_t appended_ = 0;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    bool creating_ = false;  ///< Has begun, and may be over.
    std::vector<mutable_slice> spare_;
    bool all_there_ = false;                      ///< No buffer is needed for more.
    std::optional<part_buffers::share> buffers_;  ///< Absent where parts follow one another: then there is only one.
    bool uncounted_ = false;                      ///< No longer one of core_->unsized_uploads.
    std::vector<std::shared_ptr<loop_task>> tasks_;
    unsigned running_ = 0;  ///< Tasks.
    bool dropped_ = false;
    std::optional<error> failed_;
    async_condition task_ended_{mutex_};
};

}  // namespace keepstore::volumes::cloud
