/// The inside of object_download: begins a GET, and goes on with a ranged one when the connection breaks in mid-body.
/// Not part of the module's interface.
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
    std::uint64_t offset = 0;    ///< Of the first byte of the body in the object.
    std::uint64_t length = 0;    ///< Of the body.
    std::uint64_t position = 0;  ///< Bytes of the body that were read.
    std::uint64_t forgiven = 0;  ///< Where that was when broken connections were last forgotten.
    std::optional<net::response> response;
    std::optional<error> failed;  ///< The final error.

    state(std::shared_ptr<client_core> c, std::string k, deadline d)
        : core(std::move(c)), key(std::move(k)), until(d), session(core->retries(), until) {}

    /// Sends the GET. `what` counts from the beginning of the object. Fills info, offset and length on the first call
    /// and compares with them on later ones.
    [[nodiscard]] awaitable<result<void>> open(std::optional<byte_range> what, std::string if_match);
    /// After a broken connection: waits and opens the rest. An error if it cannot be had.
    [[nodiscard]] awaitable<result<void>> resume(error broken);
};

/// Size, ETag, date and metadata in the headers of a HEAD or GET. `size` is Content-Length for a 200 and the total of
/// Content-Range for a 206. error_kind::bad_answer if one of the first three is missing.
[[nodiscard]] result<object_info> read_object_info(const net::response& response);

}  // namespace keepstore::s3
