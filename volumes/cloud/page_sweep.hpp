/// Works through the pages of a listing of trash, with several workers for each page.
#pragma once

#include "base/async.hpp"
#include "volumes/cloud/protocol.hpp"
#include "volumes/volume.hpp"

#include <functional>
#include <string_view>

namespace keepstore::volumes::cloud {

class volume_core;

/// What became of an object.
enum class swept { deleted, kept, not_trash };

struct trash_sweep {
    protocol::list_options where;  ///< What is listed.
    /// Lists a page.
    std::function<awaitable<result<protocol::list_page>>(protocol::list_options where)> list;
    unsigned workers;
    /// Looks at an object. `began` is the beginning of the sweep, by the earlier of our clock and the service's: ages
    /// are relative to it. After an error the object is logged and left, unless no other one could be processed either.
    std::function<awaitable<result<swept>>(const protocol::listed_object& object, block_time began)> look;
};

/// Logs that an object of the trash is left as it is.
void warn_of_trash(const volume_core& core, const protocol::listed_object& object, std::string_view why);

/// Returns when all objects have been looked at. Awaited in place.
[[nodiscard]] awaitable<result<empty_trash_stats>> sweep_pages(volume_core& core, trash_sweep what);

}  // namespace keepstore::volumes::cloud
