/// The marker of a block (its attributes are the marker's metadata), requested once for all readers that share a
/// download. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "base/single_flight.hpp"
#include "s3/client.hpp"

#include <memory>
#include <mutex>
#include <optional>

namespace keepstore::volumes::s3 {

class s3_core;

class shared_marker : public std::enable_shared_from_this<shared_marker> {
  public:
    shared_marker(std::shared_ptr<s3_core> core, md5_digest name) : core_(std::move(core)), name_(name) {}

    /// Requests it, unless it is known or requested already, and does not wait for it.
    void prefetch();
    /// Returns it, waiting for a request that is under way and sending one if need be. The request is not tied to its
    /// callers. errc::not_found if there is none; that is remembered, other errors are not. Awaited in place.
    [[nodiscard]] awaitable<result<keepstore::s3::object_info>> get(deadline until);
    /// Whether it is known or requested.
    [[nodiscard]] bool requested() const;

  private:
    using flight = single_flight<keepstore::s3::object_info>::flight;
    void request(flight mine);

    const std::shared_ptr<s3_core> core_;
    const md5_digest name_;
    single_flight<keepstore::s3::object_info> request_;
    mutable std::mutex mutex_;
    std::optional<result<keepstore::s3::object_info>> known_;  // Guarded by mutex_.
};

}  // namespace keepstore::volumes::s3
