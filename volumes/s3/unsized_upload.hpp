/// A block of unknown size on its way to S3. S3 wants the length of everything first, so one part is gathered in memory of
/// our own (a writer must not hold that much of the pool) and sent when it is full and more comes: a multipart upload,
/// each part with its MD5, visible with its completion at commit. A block of at most one part becomes a plain PUT.
/// Use from one coroutine at a time.
#pragma once

#include "volumes/s3/s3_core.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace keepstore::volumes::s3 {

class unsized_upload {
  public:
    /// \returns errc::unavailable if there are too many already.
    [[nodiscard]] static result<std::unique_ptr<unsized_upload>> make(std::shared_ptr<s3_core> core, md5_digest name);
    ~unsized_upload();
    unsized_upload(const unsized_upload&) = delete;
    unsized_upload& operator=(const unsized_upload&) = delete;

    [[nodiscard]] awaitable<result<void>> append(const_slice bytes, deadline until);
    [[nodiscard]] awaitable<result<void>> commit(protocol::name_values metadata, deadline until);
    /// As long as nothing was sent.
    [[nodiscard]] result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> into) const;

  private:
    // What the tasks on the volume's loops refer to: it outlives them.
    struct state {
        std::shared_ptr<s3_core> core;
        md5_digest name;
        std::vector<std::string> etags;  ///< Of the tasks, which follow one another.

        [[nodiscard]] std::string upload_id() const {
            const std::lock_guard lock(mutex);
            return id;
        }
        void set_upload_id(std::string value) {
            const std::lock_guard lock(mutex);
            id = std::move(value);
        }
        // A writer that is dropped asks while a cancelled task may still be unwinding.
        mutable std::mutex mutex;
        std::string id;  ///< Guarded by mutex. Empty: there is no upload.
    };

    unsized_upload(std::shared_ptr<s3_core> core, md5_digest name);

    static awaitable<result<bool>> send_part(std::shared_ptr<state> s, const_slice part, deadline until);
    static awaitable<result<bool>> send_whole(std::shared_ptr<state> s, const_slice block,
                                              protocol::name_values metadata, deadline until);
    static awaitable<result<bool>> complete(std::shared_ptr<state> s, std::uint64_t size,
                                            protocol::name_values metadata, deadline until);
    static awaitable<result<bool>> abort(std::shared_ptr<state> s);

    const std::shared_ptr<state> state_;
    mutable_slice part_;  ///< Empty until the first append.
    std::size_t filled_ = 0;
    std::uint64_t appended_ = 0;
    bool committed_ = false;
    std::optional<error> failed_;
};

}  // namespace keepstore::volumes::s3
