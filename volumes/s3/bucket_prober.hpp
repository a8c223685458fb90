/// Probes for the circuit breaker whether the bucket can be used: by listing one key, since the response to a HEAD has
/// no body that names the error. It has connections of its own, so that a probe never waits for one that calls hold.
/// Safe to use from any thread.
#pragma once

#include "s3/client.hpp"
#include "volumes/s3/access.hpp"

#include <memory>
#include <string>

namespace keepstore::volumes::s3 {

class bucket_prober {
  public:
    /// \param writable  Objects may be written: where listing is denied, that is how access is checked.
    /// \returns errc::bad_request, in plain words, for options that cannot work.
    [[nodiscard]] static result<std::shared_ptr<bucket_prober>> make(bucket_access access, bool writable);

    /// \returns empty if the bucket can be used; the reason if it can, but not be listed.
    [[nodiscard]] static awaitable<result<std::string>> probe(std::shared_ptr<bucket_prober> self, deadline until);

    [[nodiscard]] const keepstore::s3::op_stats& stats() const noexcept { return client_.stats(); }

  private:
    bucket_prober(keepstore::s3::client client, bool writable) : client_(std::move(client)), writable_(writable) {}
    [[nodiscard]] awaitable<result<std::string>> probe_unlisted(error refused, deadline until);

    const keepstore::s3::client client_;
    const bool writable_;
};

}  // namespace keepstore::volumes::s3
