/// Where an upload sends a block to: the requests of one service (volumes/s3/s3_target.cpp,
/// volumes/azure/azure_target.cpp).
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "net/client/http_client.hpp"
#include "volumes/cloud/protocol.hpp"

#include <cstddef>
#include <vector>

namespace keepstore::volumes::cloud {

/// One block that is written. Owned by its upload. Coroutines are awaited in place, on a loop of the volume, one after
/// the other.
class upload_target {
  public:
    virtual ~upload_target() = default;

    /// Stores the block from memory, with its metadata.
    [[nodiscard]] virtual awaitable<result<void>> store(std::vector<const_slice> slices, protocol::name_values metadata,
                                                        deadline until) = 0;
    /// Stores the block from a source, which cannot be rewound.
    [[nodiscard]] virtual awaitable<result<void>> store_stream(net::body_source& source, deadline until) = 0;
    /// After store_stream(): stores the metadata, and what else makes the block one that was written now.
    [[nodiscard]] virtual awaitable<result<void>> publish(protocol::name_values metadata, deadline until) = 0;
};

/// One upload in parts. Coroutines run on loops of the volume, parts concurrently; each holds the session. Safe to use
/// from any thread.
class part_session {
  public:
    virtual ~part_session() = default;

    /// Begins the upload at the service. Once.
    [[nodiscard]] virtual awaitable<result<void>> create(deadline until) = 0;
    /// There is an upload that must be completed or aborted.
    [[nodiscard]] virtual bool exists() const = 0;

    /// The index of the next part, from 0.
    [[nodiscard]] virtual std::size_t add_part() = 0;
    /// Sends a part.
    [[nodiscard]] virtual awaitable<result<void>> send(std::size_t index, const_slice part, deadline until) = 0;

    /// Makes the object of all parts, which have been sent, with this metadata. errc::io_error if the service has other
    /// content. There is nothing to abort after a success.
    [[nodiscard]] virtual awaitable<result<void>> complete(protocol::name_values metadata, deadline until) = 0;
    /// Has the service drop the parts. None of them may be under way.
    [[nodiscard]] virtual awaitable<result<void>> abort() = 0;
};

}  // namespace keepstore::volumes::cloud
