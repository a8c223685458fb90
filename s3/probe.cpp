#include "s3/probe.hpp"

#include "s3/bucket_address.hpp"
#include "s3/probe_objects.hpp"

#include <fmt/format.h>

namespace keepstore::s3 {
namespace {

/// The steps, with the state that they share.
class prober {
  public:
    prober(client_options options, std::shared_ptr<credentials_cache> keys, probe_extent extent, probe_output out,
           deadline until)
        : options_(std::move(options)),
          keys_(std::move(keys)),
          extent_(extent),
          report_(std::move(out), until),
          until_(until) {}

    awaitable<bool> run() {
        if (!check_address()) co_return false;
        const auto where = cloud::make_probe_target(options_, address_.to, address_.path_of(""));
        const auto hint = [&] { return hint_at_path_style(where, options_.bucket); };
        const bool named = co_await cloud::check_name(report_, where, hint);
        if (!named) co_return false;
        const bool connected = co_await cloud::check_connection(report_, where);
        if (!connected) co_return false;
        const bool have_keys = co_await check_credentials();
        if (!have_keys) co_return false;
        auto made = client::make(options_, keys_);
        if (!made) co_return report_.failed("client", made.error().text);
        const client bucket = std::move(*made);
        const bool there = co_await check_bucket(bucket);
        if (!there) co_return false;
        object_probe objects(bucket, report_, may_list_);
        if (extent_ == probe_extent::read_only)
            co_await objects.check_stored(stored_key_);
        else
            co_await objects.check_writing();
        co_return report_.good();
    }

  private:
    bool check_address() {
        if (options_.region.empty()) {
            if (options_.endpoint.empty()) return report_.failed("address", "one of Endpoint and Region must be given");
            options_.region = "us-east-1";
        }
        auto address = make_bucket_address({.endpoint = options_.endpoint,
                                            .region = options_.region,
                                            .bucket = options_.bucket,
                                            .path_style = options_.path_style});
        if (!address) return report_.failed("address", address.error().text);
        address_ = std::move(*address);
        return report_.ok("address",
                          fmt::format("{}, bucket in the {}", net::to_string(address_.to),
                                      address_.path_prefix.ends_with(options_.bucket) ? "path" : "host name"));
    }

    /// Where the name of the bucket in the host name is to blame, says what helps.
    static awaitable<std::string> hint_at_path_style(const cloud::probe_target& where, std::string bucket) {
        if (!where.to.host.starts_with(bucket + ".")) co_return "";
        const auto base = co_await cloud::resolve_host(where, where.to.host.substr(bucket.size() + 1));
        co_return base ? ", but the endpoint itself has: set UsePathStyle to true" : "";
    }

    awaitable<bool> check_credentials() {
        const auto keys = co_await keys_->get(until_);
        if (!keys) co_return report_.failed("credentials", keys.error().text);
        co_return report_.ok(
            "credentials",
            fmt::format("from {}{}", keys->source,
                        keys->expires_at ? ", good until " + format_http_date(*keys->expires_at) : std::string()));
    }

    awaitable<bool> check_bucket(const client& bucket) {
        // A listing, not a HEAD: its errors have a body with the reason.
        const auto page = co_await bucket.list({.keys_max = 1}, until_);
        if (page) {
            if (!page->objects.empty()) stored_key_ = page->objects.front().key;
            report_.ok("bucket", fmt::format("{} is there and can be listed", options_.bucket));
        } else if (kind_of(page.error()) == error_kind::access_denied) {
            // The daemon can use such a bucket. The next steps show which other operations are allowed.
            may_list_ = false;
            report_.note("bucket",
                         fmt::format("these keys may not list it ({}). Without s3:ListBucket blocks can be written and "
                                     "read, but there is no index (keep-balance stops), trash is never emptied, and a "
                                     "block that is not there may be answered 503 instead of 404: allow s3:ListBucket",
                                     cloud::without_advice(page.error(), advice(kind_of(page.error())))));
        } else if (kind_of(page.error()) == error_kind::unsupported && !options_.list_v1) {
            co_return report_.failed("bucket",
                                     page.error().text + " (the service may only know the old form of listings)");
        } else {
            co_return report_.failed("bucket", page.error().text);
        }
        if (bucket.region() != options_.region) {
            report_.note(
                "region",
                fmt::format("the bucket is in {0}, not in {1}: set Region to {0} to save a request after each start",
                            bucket.region(), options_.region));
        }
        co_return true;
    }

    client_options options_;
    const std::shared_ptr<credentials_cache> keys_;
    const probe_extent extent_;
    probe_report report_;
    const deadline until_;
    bucket_address address_;
    std::string stored_key_;  ///< The key of some object in the bucket; empty if none is known.
    bool may_list_ = true;
};

}  // namespace

awaitable<bool> probe_bucket(client_options options, std::shared_ptr<credentials_cache> keys, probe_extent extent,
                             probe_output out, deadline until) {
    prober p(std::move(options), std::move(keys), extent, std::move(out), until);
    co_return co_await p.run();
}

}  // namespace keepstore::s3
