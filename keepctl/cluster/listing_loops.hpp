/// Event loops on which indexes of servers are read and parsed, so that several are at the same time, and that the
/// tool's own loop stays free. Threads are made when the first index is read. Used from the one event loop of the tool;
/// outlives what runs on its loops.
#pragma once

#include "base/event_loop_group.hpp"
#include "keepctl/cluster/limits.hpp"

#include <algorithm>
#include <optional>

namespace keepstore::keepctl {

class listing_loops {
  public:
    /// The loops in turn.
    [[nodiscard]] asio::any_io_executor next() {
        if (!loops_) {
            loops_.emplace("index", std::min(usable_processors(), limits::listing_threads_max));
            loops_->start();
        }
        return loops_->next_executor();
    }

  private:
    std::optional<event_loop_group> loops_;
};

}  // namespace keepstore::keepctl
