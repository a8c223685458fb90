/// The body of a block as it comes from S3, read in order: one GET, or several concurrent ranged ones, each with memory
/// of its own for bytes that arrive before their turn. Used from one coroutine, on a loop of the volume; the ranged
/// GETs run on any of its loops. Destroyed, it cancels them.
///
/// Errors: as of a GET (s3/client.hpp). Ranges are of one and the same object, unless it was trashed or written again
/// meanwhile: then of the object with its name.
#pragma once

#include "s3/client.hpp"
#include "volumes/cloud/part_buffers.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

namespace keepstore::volumes::s3 {

class s3_core;

class block_body {
  public:
    /// Everything by this GET.
    explicit block_body(keepstore::s3::object_download all);
    /// The first range by this GET; the rest, up to `end` in the object, by others, as far as there are buffers for
    /// them. `trash_key` is where the object is found if it was trashed meanwhile.
    block_body(std::shared_ptr<s3_core> core, std::string key, std::string trash_key,
               keepstore::s3::object_download first, std::uint64_t end, part_buffers::share buffers);
    ~block_body();
    block_body(const block_body&) = delete;
    block_body& operator=(const block_body&) = delete;

    [[nodiscard]] const keepstore::s3::object_info& info() const noexcept { return first_.info(); }
    [[nodiscard]] std::uint64_t remaining() const noexcept { return end_ - position_; }

    /// At least one byte; 0 at the end. An error is final.
    [[nodiscard]] awaitable<result<std::size_t>> read_some(std::span<std::byte> into);

  private:
    struct lane;
    /// The object.
    struct range_source {
        std::string key;
        std::string trash_key;
        std::string etag;
        std::string validator;   ///< The same for get_options::if_match.
        std::uint64_t size = 0;  ///< Of the object.
    };

    void start_lanes();
    static awaitable<result<bool>> run_lane(std::shared_ptr<s3_core> core, std::shared_ptr<lane> l, range_source from);
    static awaitable<result<keepstore::s3::object_download>> open_lane(std::shared_ptr<s3_core> core,
                                                                       const range_source& from,
                                                                       keepstore::s3::byte_range range);
    [[nodiscard]] awaitable<result<std::size_t>> read_lane(std::span<std::byte> into);

    const std::shared_ptr<s3_core> core_;  ///< Null: there are no lanes.
    const range_source from_;
    keepstore::s3::object_download first_;
    std::uint64_t position_;  ///< In the object, as are the next two.
    std::uint64_t planned_;   ///< Everything before it was requested.
    std::uint64_t end_;
    std::optional<part_buffers::share> buffers_;
    std::deque<mutable_slice> spare_;
    bool buffer_due_ = false;  ///< A buffer of the share has no memory yet.
    std::deque<std::shared_ptr<lane>> lanes_;
};

}  // namespace keepstore::volumes::s3
