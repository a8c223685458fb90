/// The body of a block as it comes from the service, read in order: one GET, or several concurrent ranged ones, each
/// with memory of its own for bytes that arrive before their turn. Used from one coroutine, on a loop of the volume;
/// the ranged GETs run on any of its loops. Destroyed, it cancels them.
///
/// Errors: as of a GET. Ranges are of one and the same object, unless it was trashed or written again meanwhile: then
/// of the object with its name (object_source::open_range).
#pragma once

#include "volumes/cloud/object_source.hpp"
#include "volumes/cloud/part_buffers.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

namespace keepstore::volumes::cloud {

class volume_core;

class block_body {
  public:
    /// Everything by this GET.
    explicit block_body(protocol::object_download all);
    /// The first range by this GET; the rest, up to `end` in the object, by others, as far as there are buffers for
    /// them.
    block_body(std::shared_ptr<volume_core> core, std::shared_ptr<object_source> source,
               protocol::object_download first, std::uint64_t end, part_buffers::share buffers);
    ~block_body();
    block_body(const block_body&) = delete;
    block_body& operator=(const block_body&) = delete;

    [[nodiscard]] const protocol::object_info& info() const noexcept { return first_.info(); }
    [[nodiscard]] std::uint64_t remaining() const noexcept { return end_ - position_; }

    /// At least one byte; 0 at the end. An error is final.
    [[nodiscard]] awaitable<result<std::size_t>> read_some(std::span<std::byte> into);

  private:
    struct lane;

    void start_lanes();
    static awaitable<result<void>> run_lane(std::shared_ptr<volume_core> core, std::shared_ptr<lane> l,
                                            std::shared_ptr<object_source> source);
    [[nodiscard]] awaitable<result<std::size_t>> read_lane(std::span<std::byte> into);

    const std::shared_ptr<volume_core> core_;  ///< Null: there are no lanes.
    const std::shared_ptr<object_source> source_;
    protocol::object_download first_;
    std::uint64_t position_;  ///< In the object, as are the next two.
    std::uint64_t planned_;   ///< Everything before it was requested.
    std::uint64_t end_;
    std::optional<part_buffers::share> buffers_;
    std::deque<mutable_slice> spare_;
    bool buffer_due_ = false;  ///< A buffer of the share has no memory yet.
    std::deque<std::shared_ptr<lane>> lanes_;
};

}  // namespace keepstore::volumes::cloud
