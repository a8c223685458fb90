/// What the operations of an S3 volume consist of, in addition to the state that all cloud volumes have
/// (volumes/cloud/volume_core.hpp). Coroutines here run on the volume's loops.
#pragma once

#include "s3/client.hpp"
#include "volumes/cloud/compare_body.hpp"
#include "volumes/cloud/volume_core.hpp"
#include "volumes/limits.hpp"
#include "volumes/s3/names.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace keepstore::volumes::s3 {

namespace protocol = keepstore::s3;
using protocol::error_kind;
using protocol::kind_of;
using protocol::sys_seconds;

/// Whether the service honours If-None-Match with a PUT: some return 501, some ignore it.
enum class conditional_put { unknown, honoured, ignored };

using etag_knowledge = std::atomic<bool>;

class s3_core final : public cloud::volume_core, public std::enable_shared_from_this<s3_core> {
  public:
    s3_core(s3_options o, protocol::client c);
    ~s3_core() override { loops.stop(); }

    const s3_options options;
    const object_names names;
    const protocol::client client;
    std::atomic<conditional_put> conditional{conditional_put::unknown};
    // Whether these ETags are known not to be Amazon's, since one contradicted an object that was read and is right.
    etag_knowledge put_etags{false};    ///< Of single PUTs and of parts: MD5s.
    etag_knowledge whole_etags{false};  ///< Of completed multipart uploads: by protocol::multipart_etag().

    [[nodiscard]] std::shared_ptr<cloud::object_source> make_source(cloud::download_target what) override;
    [[nodiscard]] std::unique_ptr<cloud::upload_target> make_target(const md5_digest& name) override;
    [[nodiscard]] std::shared_ptr<cloud::part_session> make_session(const md5_digest& name) override;
    [[nodiscard]] awaitable<result<bool>> needs_pages(std::string digits, deadline until) override;
    [[nodiscard]] awaitable<result<void>> list_range(cloud::parallel_listing& into, std::string digits) override;

    // lifecycle.cpp: by the rules that daemons which share a bucket (the Go daemon among them) rely on
    // (docs/interface.md 4.4 to 4.7).

    /// Writes the marker anew, if the block is there. Two requests; for large blocks a third, for the marker's
    /// attributes.
    [[nodiscard]] awaitable<result<void>> touch(md5_digest name, deadline until) override;
    /// Returns the time of the marker. A block without one (of a daemon older than markers) gets one now.
    [[nodiscard]] awaitable<result<block_time>> mtime(md5_digest name, deadline until) override;
    /// Copies the block to the trash, and deletes it if the copy is confirmed and the block was not written meanwhile.
    /// Seven requests.
    [[nodiscard]] awaitable<result<trash_outcome>> trash(md5_digest name, trash_options how, deadline until) override;
    /// Copies the block back from the trash, unless there is a good one, and marks it as written now.
    [[nodiscard]] awaitable<result<void>> untrash(md5_digest name, deadline until) override;

    // trash_sweep.cpp

    /// Deletes the objects whose lifetime in the trash is over. Blocks that are in the trash because of a race are
    /// restored.
    [[nodiscard]] awaitable<result<empty_trash_stats>> empty_trash(unsigned workers, deadline until) override;
    /// Aborts multipart uploads under names of blocks that are older than limits::s3_orphan_upload_age: those of killed
    /// daemons.
    [[nodiscard]] awaitable<result<void>> abort_orphan_uploads();

    [[nodiscard]] const cloud::protocol::op_stats& client_stats() const override { return client.stats(); }
    [[nodiscard]] std::uint64_t requests_throttled() const override { return client.stats().throttled.value(); }
    [[nodiscard]] std::chrono::seconds clock_skew() const override { return client.clock_skew(); }

    // One request each, with a timeout, reported to the circuit breaker.
    [[nodiscard]] awaitable<result<protocol::object_info>> head(std::string key, deadline until);
    [[nodiscard]] awaitable<result<protocol::put_result>> put(std::string key, protocol::upload_body body,
                                                              protocol::put_options how, deadline until);
    [[nodiscard]] awaitable<result<void>> del(std::string key, deadline until);
    [[nodiscard]] awaitable<result<protocol::list_page>> list(protocol::list_options where, deadline until) override;

    /// Writes the block's marker: its mtime is now.
    [[nodiscard]] awaitable<result<void>> mark_recent(md5_digest name, protocol::name_values metadata, deadline until);
    /// The same for a block that was there before: its attributes, which only large blocks have, are kept.
    [[nodiscard]] awaitable<result<void>> renew_recent(md5_digest name, std::uint64_t size, deadline until);

    /// Puts the block, with its MD5 for the service to check, and checks the ETag that it returns: where that
    /// contradicts, the stored object decides.
    [[nodiscard]] awaitable<result<void>> put_block(md5_digest name, protocol::upload_body body, bool if_absent,
                                                    deadline until);
    /// Reads the stored block. \returns whether it is what its name says.
    [[nodiscard]] awaitable<result<bool>> stores_block(md5_digest name, deadline until);
    /// The same for the object of a key; one whose ETag is the MD5 is not read, and one that is missing is not the
    /// block.
    [[nodiscard]] awaitable<result<bool>> is_block(std::string key, protocol::object_info info, md5_digest name,
                                                   deadline until);
    /// Decides by reading, after an ETag that contradicts what was sent; once, then `known` says that they all do.
    /// \returns errc::io_error if the block is not what its name says.
    [[nodiscard]] awaitable<result<void>> settle_etag(md5_digest name, etag_knowledge& known, deadline until);
    /// The same as put_block() for a block in memory, without overwriting a good copy: an equal copy stays, a corrupt
    /// one is replaced, a different block with this MD5 is errc::collision. One request if there is no copy. Only if
    /// `conditional` is honoured.
    [[nodiscard]] awaitable<result<void>> put_block_or_compare(md5_digest name, std::vector<const_slice> slices,
                                                               deadline until);
    /// Determines `conditional`, with the marker of this block, which has just been written.
    [[nodiscard]] awaitable<result<void>> learn_conditional_put(md5_digest name, protocol::name_values metadata,
                                                                deadline until);

    /// Copies inside the bucket, and checks that the copy is complete and has the current time: the safety of the trash
    /// depends on both. errc::not_found if there is no source.
    [[nodiscard]] awaitable<result<void>> safe_copy(std::string from, std::string to, std::string if_match,
                                                    deadline until);

    /// Call when the block is missing: restores it if it was trashed although it had been written or touched less than
    /// the protection period before, which is the result of a race of Put or Touch with Trash.
    /// \returns whether it was restored.
    [[nodiscard]] awaitable<result<bool>> fix_race(md5_digest name, deadline until);

    /// Whether a block of this size is put by put_block_or_compare.
    [[nodiscard]] bool compares(std::uint64_t size) const override {
        return size <= limits::write_at_once_bytes_max && !options.any_content &&
               conditional.load(std::memory_order_relaxed) == conditional_put::honoured;
    }

  private:
    /// nullopt if the block is gone.
    [[nodiscard]] awaitable<result<std::optional<cloud::stored_copy>>> compare(md5_digest name,
                                                                               std::span<const const_slice> with,
                                                                               deadline until);
};

}  // namespace keepstore::volumes::s3
