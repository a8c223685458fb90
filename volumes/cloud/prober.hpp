/// Probes for the circuit breaker whether a bucket or container can be used: by listing one key, since the response to
/// a HEAD has no body that names the error. It has connections of its own, so that a probe never waits for one that
/// calls hold. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "volumes/cloud/cloud_volume.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::volumes::cloud {

/// A probe is repeated by the circuit breaker; its own attempts only rule out a connection that was just closed.
inline constexpr unsigned probe_attempts = 3;

/// Client: keepstore::s3::client or keepstore::azure::client.
template <class Client>
class prober {
  public:
    /// \param access  options of the volume's client, and its keys.
    /// \param writable  Objects may be written: where listing is denied, that is how access is checked.
    /// \returns errc::bad_request, in plain words, for options that cannot work.
    template <class Access>
    [[nodiscard]] static result<std::shared_ptr<prober>> make(Access access, bool writable) {
        access.client.connections_max = connections;
        access.client.retry.attempts_max = probe_attempts;
        KS_TRY(auto client, Client::make(std::move(access.client), std::move(access.keys)));
        return std::shared_ptr<prober>(new prober(std::move(client), writable));
    }

    /// \returns empty if the place can be used; the reason if it can, but not be listed.
    [[nodiscard]] static awaitable<result<std::string>> probe(std::shared_ptr<prober> self, deadline until) {
        auto page = co_await self->client_.list({.keys_max = 1}, until);
        if (page) co_return std::string();
        if (kind_of(page.error()) != error_kind::access_denied) co_return std::unexpected(std::move(page.error()));
        // Keys that may write and read, and not list, make a volume of use. Whether they may has to be tried, since S3
        // then responds to a request for a missing object in the same way. Where nothing is written requests have to
        // show it.
        if (self->writable_) {
            KS_CO_CHECK(co_await self->client_.put(std::string(access_check_key), {}, {}, until));
            KS_CO_CHECK(co_await self->client_.head(std::string(access_check_key), until));
        }
        co_return std::move(page.error().text);
    }

    /// What a volume needs of it.
    [[nodiscard]] static cloud_volume::probing probing_by(const std::shared_ptr<prober>& self) {
        return {.probe = [self](deadline until) { return probe(self, until); },
                .stats = {self, &self->client_.stats()}};
    }

  private:
    // Key of the access-check object, used where listing is denied. Not a valid block name. Never deleted: other
    // servers may be using it, and deleting may be denied.
    static constexpr std::string_view access_check_key = "keepstore-probe/access";
    // A quick and a long probe.
    static constexpr unsigned connections = 2;

    prober(Client client, bool writable) : client_(std::move(client)), writable_(writable) {}

    const Client client_;
    const bool writable_;
};

}  // namespace keepstore::volumes::cloud
