#include "volumes/azure/azure_core.hpp"

#include <utility>

namespace keepstore::volumes::azure {

azure_core::azure_core(azure_options o, service::client c)
    : volume_core({o,
                   {.service = "Azure",
                    .kind = "container",
                    .name = o.container,
                    .list_permission = "listing (Storage Blob Data Reader; of a SAS sp=l)"},
                   '_'}),
      options(std::move(o)),
      client(std::move(c)) {}

awaitable<result<protocol::object_info>> azure_core::head(md5_digest name, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    auto info = noted(co_await client.head(name.hex(), until.within(limits::cloud_call_timeout)));
    if (info) info->last_modified = observed(name.hex(), info->last_modified);
    co_return info;
}

awaitable<result<service::put_result>> azure_core::put(md5_digest name, protocol::upload_body body,
                                                       service::put_options how, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    if (!options.any_content) how.md5 = name;
    co_return noted(co_await client.put(name.hex(), std::move(body), std::move(how), until));
}

awaitable<result<void>> azure_core::set_metadata(md5_digest name, protocol::name_values metadata, std::string etag,
                                                 deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    KS_CO_CHECK(noted(co_await client.set_metadata(name.hex(), std::move(metadata), {.if_match = std::move(etag)},
                                                   until.within(limits::cloud_call_timeout))));
    co_return success();
}

awaitable<result<void>> azure_core::del(md5_digest name, std::string etag, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    co_return noted(
        co_await client.del(name.hex(), {.if_match = std::move(etag)}, until.within(limits::cloud_call_timeout)));
}

awaitable<result<protocol::list_page>> azure_core::list(protocol::list_options where, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    co_return noted(co_await client.list(std::move(where), until));
}

bool azure_core::is_being_written(const md5_digest& name, std::uint64_t size, sys_seconds modified) const {
    return azure::is_being_written(name, size, now_at_most() - block_time(modified), options.write_race_interval);
}

std::int64_t azure_core::this_second() const {
    return std::chrono::floor<std::chrono::seconds>(now()).time_since_epoch().count();
}

}  // namespace keepstore::volumes::azure
