/// Observer of a run of the engines, implemented by the command. Called on the event loop, between two suspensions.
#pragma once

#include "keepctl/cluster/block_names.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

class run_observer {
  public:
    virtual ~run_observer() = default;
    /// A line for the operator.
    virtual void warn(std::string_view text) = 0;
    virtual void failed(const block_failure& failure) = 0;
    /// A shard has been dealt with.
    virtual void shard_done(std::size_t shard) = 0;
    /// Why a block failed in an earlier pass, if it is not to be tried again yet. It counts as failed.
    [[nodiscard]] virtual std::optional<std::string> postponed(const md5_digest&) { return std::nullopt; }
};

}  // namespace keepstore::keepctl
