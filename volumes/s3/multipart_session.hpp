/// One multipart upload at the service: its id and the ETags of its parts. A part is sent with its MD5, and again
/// within the limits of cloud/retry.hpp, since its bytes stay in memory until then.
///
/// Coroutines run on loops of the volume, parts concurrently; each holds the session. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "volumes/cloud/upload_target.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace keepstore::volumes::s3 {

class s3_core;

class multipart_session final : public cloud::part_session, public std::enable_shared_from_this<multipart_session> {
  public:
    multipart_session(std::shared_ptr<s3_core> core, md5_digest name) : core_(std::move(core)), name_(name) {}

    /// Asks the service for an id.
    [[nodiscard]] awaitable<result<void>> create(deadline until) override;
    [[nodiscard]] bool exists() const override;

    [[nodiscard]] std::size_t add_part() override;  ///< Its number at the service is one more.
    [[nodiscard]] awaitable<result<void>> send(std::size_t index, const_slice part, deadline until) override;

    /// Reads the object if an ETag contradicts its parts or the response was lost. Then writes the marker.
    [[nodiscard]] awaitable<result<void>> complete(cloud::protocol::name_values metadata, deadline until) override;
    [[nodiscard]] awaitable<result<void>> abort() override;

  private:
    [[nodiscard]] awaitable<result<void>> join_parts(deadline until);
    [[nodiscard]] awaitable<result<std::string>> send_complete(std::vector<std::string> etags, deadline until);
    [[nodiscard]] std::string key() const;
    [[nodiscard]] std::string id() const;

    const std::shared_ptr<s3_core> core_;
    const md5_digest name_;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::string id_;  ///< Empty: there is no upload (any more).
    std::vector<std::string> etags_;
    bool part_contradicts_ = false;  ///< The ETag of a part does (keepstore::s3::judge_etag).
    bool parts_confirm_ = true;      ///< Those of all parts do.
    bool failure_noted_ = false;     ///< For the circuit breaker: parts that fail together are one failure.
};

}  // namespace keepstore::volumes::s3
