#include "s3/probe.hpp"

#include "s3/bucket_address.hpp"
#include "s3/limits.hpp"
#include "s3/probe_objects.hpp"
#include "cloud/time.hpp"
#include "cloud/transport_error.hpp"

#include <fmt/format.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace keepstore::s3 {
namespace {

using std::chrono::seconds;

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
        const bool named = co_await check_name();
        if (!named) co_return false;
        const bool connected = co_await check_connection();
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

    /// Resolves a host name to a list of addresses, or the resolver's error.
    awaitable<result<std::string>> resolve(std::string host) {
        for (const auto& [name, address] : options_.hosts) {
            if (name == host) co_return address;
        }
        const auto executor = co_await asio::this_coro::executor;
        asio::ip::tcp::resolver resolver(executor);
        const auto [code, found] = co_await resolver.async_resolve(host, "", use_tuple);
        if (code) co_return fail(errc::unavailable, code.message());
        std::string list;
        for (const auto& entry : found) {
            const auto address = entry.endpoint().address().to_string();
            if (list.find(address) == std::string::npos) list += (list.empty() ? "" : ", ") + address;
        }
        co_return list;
    }

    awaitable<bool> check_name() {
        if (const auto* via = options_.proxies.find(address_.to)) {
            co_return report_.ok("name",
                                 fmt::format("looked up by the proxy {} of the environment", net::to_string(via->to)));
        }
        const auto found = co_await resolve(address_.to.host);
        if (found && *found == address_.to.host) co_return report_.ok("name", "none: Endpoint is an address");
        if (found) co_return report_.ok("name", fmt::format("{} is {}", address_.to.host, *found));
        const auto text = fmt::format("{} has no address ({})", address_.to.host, found.error().text);
        const bool hosted = address_.to.host.starts_with(options_.bucket + ".");
        if (hosted) {
            const auto base = co_await resolve(address_.to.host.substr(options_.bucket.size() + 1));
            if (base)
                co_return report_.failed("name", text + ", but the endpoint itself has: set UsePathStyle to true");
        }
        co_return report_.failed("name", text + ": check the spelling of Endpoint and the name servers of this host");
    }

    awaitable<bool> check_connection() {
        auto http = net::client::make({.ca_file = options_.ca_file,
                                       .tls_insecure = options_.tls_insecure,
                                       .proxies = options_.proxies,
                                       .hosts = options_.hosts});
        if (!http) co_return report_.failed("connection", http.error().text);
        // Without a signature: any response shows that there is an HTTP server.
        net::request ask{.method = "HEAD", .to = address_.to, .target = address_.path_of("")};
        ask.timing.connect = options_.connect_timeout;
        ask.timing.first_byte = options_.read_timeout;
        const auto asked_at = options_.now();
        const auto response = co_await http->send(std::move(ask), until_);
        if (!response) co_return report_.failed("connection", from_transport(response.error()).text);
        const auto server = response->get("server");
        const auto* const security = !address_.to.tls        ? "without TLS"
                                     : options_.tls_insecure ? "with TLS, but the certificate is not verified"
                                                             : "with TLS, the certificate is valid";
        report_.ok("connection", fmt::format("{}{}{}", security, server.empty() ? "" : ", the server is ", server));
        const auto date = parse_http_date(response->get("date"));
        if (!date) co_return report_.note("clock", "the response has no Date");
        const auto off = std::chrono::duration_cast<seconds>(*date - asked_at);
        if (std::chrono::abs(off) > limits::s3_clock_skew_tolerated) {
            co_return report_.note(
                "clock", fmt::format("this machine and the service differ by {} seconds; requests will be signed "
                                     "with the service's time, but set the clock right (NTP)",
                                     off.count()));
        }
        co_return report_.ok("clock",
                             fmt::format("within {} seconds of the service's", std::chrono::abs(off).count() + 1));
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
                                     without_advice(page.error())));
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

std::string to_text(const probe_line& line) {
    using outcome = probe_line::outcome;
    const auto* word = line.result == outcome::ok ? "ok" : line.result == outcome::note ? "note" : "FAILED";
    auto out = fmt::format("{}: {}: {}", word, line.step, line.text);
    // Parts of the text come from servers: no control characters for the terminal.
    std::ranges::replace_if(out, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
    return out;
}

awaitable<bool> probe_bucket(client_options options, std::shared_ptr<credentials_cache> keys, probe_extent extent,
                             probe_output out, deadline until) {
    prober p(std::move(options), std::move(keys), extent, std::move(out), until);
    co_return co_await p.run();
}

}  // namespace keepstore::s3
