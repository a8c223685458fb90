#include "volumes/s3/bucket_prober.hpp"

#include <string_view>
#include <utility>

namespace keepstore::volumes::s3 {
namespace {

using keepstore::s3::error_kind;
using keepstore::s3::kind_of;

// Key of the access-check object, used where ListBucket is denied. Not a valid block name. Never deleted: other servers
// may be using it, and DeleteObject may be denied.
constexpr std::string_view access_check_key = "keepstore-probe/access";

// A quick and a long probe.
constexpr unsigned probe_connections = 2;
// A probe is repeated by the circuit breaker; its own attempts only rule out a connection that was just closed.
constexpr unsigned probe_attempts = 3;

}  // namespace

result<std::shared_ptr<bucket_prober>> bucket_prober::make(bucket_access access, bool writable) {
    access.client.connections_max = probe_connections;
    access.client.retry.attempts_max = probe_attempts;
    KS_TRY(auto client, keepstore::s3::client::make(std::move(access.client), std::move(access.keys)));
    return std::shared_ptr<bucket_prober>(new bucket_prober(std::move(client), writable));
}

awaitable<result<std::string>> bucket_prober::probe(std::shared_ptr<bucket_prober> self, deadline until) {
    auto page = co_await self->client_.list({.keys_max = 1}, until);
    if (page) co_return std::string();
    if (kind_of(page.error()) != error_kind::access_denied) co_return std::unexpected(std::move(page.error()));
    co_return co_await self->probe_unlisted(std::move(page.error()), until);
}

// Keys that may write and read, and not list, make a volume of use. Whether they may has to be tried, since S3 then
// responds to a request for a missing object in the same way. Where nothing is written requests have to show it.
awaitable<result<std::string>> bucket_prober::probe_unlisted(error refused, deadline until) {
    if (writable_) {
        KS_CO_CHECK(co_await client_.put(std::string(access_check_key), {}, {}, until));
        KS_CO_CHECK(co_await client_.head(std::string(access_check_key), until));
    }
    co_return std::move(refused.text);
}

}  // namespace keepstore::volumes::s3
