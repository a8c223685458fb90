/// Works through the pages of a listing of trash, with several workers for each page.
#pragma once

#include "base/async.hpp"
#include "base/when_all.hpp"
#include "volumes/cloud/protocol.hpp"
#include "volumes/volume.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace keepstore::volumes::cloud {

/// What became of an object.
enum class swept { deleted, kept, not_trash };

class page_sweep {
  public:
    using object = protocol::listed_object;
    /// Looks at one object. An error ends the sweep.
    using look_type = std::function<awaitable<result<swept>>(const object&)>;

    page_sweep(unsigned workers, look_type look) : workers_(std::max(1U, workers)), look_(std::move(look)) {}

    /// Returns when all objects of the page have been looked at. Awaited in place.
    [[nodiscard]] awaitable<result<void>> run(std::vector<object> page) {
        page_ = std::move(page);
        next_ = 0;
        std::vector<awaitable<void>> all;
        for (unsigned i = 0; i < workers_; ++i) all.push_back(work());
        if (co_await when_all(std::move(all))) co_return fail(errc::cancelled);
        if (failed_) co_return std::unexpected(*failed_);
        co_return success();
    }

    [[nodiscard]] const empty_trash_stats& stats() const noexcept { return stats_; }

  private:
    awaitable<void> work() {
        while (!failed_ && next_ < page_.size()) {
            const auto& one = page_[next_++];
            const auto outcome = co_await look_(one);
            if (!outcome) {
                failed_ = outcome.error();
            } else if (*outcome == swept::deleted) {
                ++stats_.blocks_deleted;
                stats_.bytes_deleted += one.size;
            } else if (*outcome == swept::kept) {
                ++stats_.blocks_in_trash;
                stats_.bytes_in_trash += one.size;
            }
        }
    }

    const unsigned workers_;
    const look_type look_;
    std::vector<object> page_;
    std::size_t next_ = 0;  ///< The next object of the page that a worker takes.
    empty_trash_stats stats_;
    std::optional<error> failed_;
};

}  // namespace keepstore::volumes::cloud
