/// The state of an object_download: begins a GET, and continues with a ranged one when the connection breaks in
/// mid-body. Not part of the module's interface.
#pragma once

#include "s3/client_core.hpp"

#include <memory>
#include <optional>
#include <string>

namespace keepstore::s3 {

struct object_download::state {
    std::shared_ptr<client_core> core;
    std::string key;
    deadline until;
    retry_session session;
    object_info info;
    std::uint64_t offset = 0;         ///< Of the first byte of the body in the object.
    std::uint64_t length = 0;         ///< Of the body.
    std::uint64_t position = 0;       ///< Bytes of the body that were read.
    std::uint64_t progress_mark = 0;  ///< `position` when the failure count was last reset.
    bool opened = false;
    std::optional<std::uint64_t> measured;  ///< The size of an object whose GET does not say it.
    bool counted = false;                   ///< It was counted.
    std::optional<net::response> response;
    std::optional<error> failed;  ///< The final error.

    state(std::shared_ptr<client_core> c, std::string k, deadline d)
        : core(std::move(c)), key(std::move(k)), until(d), session(core->retries(), until) {}

    /// Sends the GET. `what` counts from the beginning of the object. Fills info, offset and length on the first call
    /// and compares with them on later ones.
    [[nodiscard]] awaitable<result<void>> open(std::optional<byte_range> what, std::string if_match);
    /// Sets `measured` for a response without a length, which is used up.
    [[nodiscard]] awaitable<result<void>> measure(net::response unsized);
    /// Opens the rest after a broken connection, after a wait. Returns `broken` if no retry is left.
    [[nodiscard]] awaitable<result<void>> resume(error broken);
};

/// Reads size, ETag, date and metadata from the headers of a HEAD or GET, as far as they are there. `size` is
/// Content-Length for a 200 and the total of Content-Range for a 206. error_kind::malformed_response for a 206 without
/// Content-Range, and where no header is one of S3.
[[nodiscard]] result<object_info> read_object_info(const net::response& response);

}  // namespace keepstore::s3
