#include "s3/probe.hpp"

#include "s3/bucket_address.hpp"
#include "s3/limits.hpp"
#include "s3/time.hpp"
#include "s3/transport_error.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <random>

namespace keepstore::s3 {
namespace {

using std::chrono::seconds;

constexpr std::string_view test_content = "This object was made by a test of this bucket and can be deleted.\n";

std::string join(const name_values& values) {
    std::string out;
    for (const auto& [name, value] : values) out += name + "=" + value + ";";
    return out;
}

md5_digest md5_of(std::string_view text) {
    md5_digest out;
    EVP_Digest(text.data(), text.size(), out.bytes.data(), nullptr, EVP_md5(), nullptr);
    return out;
}

upload_body body_of(std::string_view text) {
    upload_body out;
    out.slices.push_back(copy_to_heap_slice(std::as_bytes(std::span(text))));
    return out;
}

std::string unique_name() {
    std::random_device random;
    return fmt::format("keepstore-probe/{:08x}{:08x}", random(), random());
}

awaitable<result<std::string>> get_text(const client& bucket, std::string key, get_options options, deadline until) {
    auto download = co_await bucket.get(std::move(key), std::move(options), until);
    if (!download) co_return std::unexpected(download.error());
    std::string out(static_cast<std::size_t>(download->length()), '\0');
    const auto n = co_await download->read_full(std::as_writable_bytes(std::span(out)));
    if (!n) co_return std::unexpected(n.error());
    co_return out;
}

/// Returns "S3 list: 403 AccessDenied (request 1)" of an error whose text goes on with the advice.
std::string_view without_advice(const error& e) {
    const std::string_view text = e.text;
    const auto at = text.find(advice(kind_of(e)));
    return at == std::string_view::npos || at < 2 ? text : text.substr(0, at - 2);
}

/// The steps, with the state that they share.
class prober {
  public:
    prober(client_options options, std::shared_ptr<credentials_cache> keys, probe_extent extent, probe_output out,
           deadline until)
        : options_(std::move(options)), keys_(std::move(keys)), extent_(extent), out_(std::move(out)), until_(until) {}

    awaitable<bool> run() {
        if (!check_address()) co_return false;
        const bool named = co_await check_name();
        if (!named) co_return false;
        const bool connected = co_await check_connection();
        if (!connected) co_return false;
        const bool have_keys = co_await check_credentials();
        if (!have_keys) co_return false;
        auto made = client::make(options_, keys_);
        if (!made) co_return failed("client", made.error().text);
        const client bucket = std::move(*made);
        const bool there = co_await check_bucket(bucket);
        if (!there) co_return false;
        if (extent_ == probe_extent::read_only) {
            co_await check_stored(bucket);
            co_return good_;
        }
        const auto name = unique_name();
        const bool stored = co_await check_objects(bucket, name);
        if (stored) co_await check_multipart(bucket, name + "-parts");
        co_return good_;
    }

  private:
    bool ok(std::string step, std::string text) {
        out_({probe_line::outcome::ok, std::move(step), std::move(text)});
        return true;
    }
    bool note(std::string step, std::string text) {
        out_({probe_line::outcome::note, std::move(step), std::move(text)});
        return true;
    }
    bool failed(std::string step, std::string text) {
        good_ = false;
        if (until_.passed()) text += " (the probe ran out of time: the service responds too slowly, or not at all)";
        out_({probe_line::outcome::failed, std::move(step), std::move(text)});
        return false;
    }

    bool check_address() {
        if (options_.region.empty()) {
            if (options_.endpoint.empty()) return failed("address", "one of Endpoint and Region must be given");
            options_.region = "us-east-1";
        }
        auto address = make_bucket_address({.endpoint = options_.endpoint,
                                            .region = options_.region,
                                            .bucket = options_.bucket,
                                            .path_style = options_.path_style});
        if (!address) return failed("address", address.error().text);
        address_ = std::move(*address);
        return ok("address", fmt::format("{}, bucket in the {}", net::to_string(address_.to),
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
            co_return ok("name", fmt::format("looked up by the proxy {} of the environment", net::to_string(via->to)));
        }
        const auto found = co_await resolve(address_.to.host);
        if (found && *found == address_.to.host) co_return ok("name", "none: Endpoint is an address");
        if (found) co_return ok("name", fmt::format("{} is {}", address_.to.host, *found));
        const auto text = fmt::format("{} has no address ({})", address_.to.host, found.error().text);
        const bool hosted = address_.to.host.starts_with(options_.bucket + ".");
        if (hosted) {
            const auto base = co_await resolve(address_.to.host.substr(options_.bucket.size() + 1));
            if (base) co_return failed("name", text + ", but the endpoint itself has: set UsePathStyle to true");
        }
        co_return failed("name", text + ": check the spelling of Endpoint and the name servers of this host");
    }

    awaitable<bool> check_connection() {
        auto http = net::client::make({.ca_file = options_.ca_file,
                                       .tls_insecure = options_.tls_insecure,
                                       .proxies = options_.proxies,
                                       .hosts = options_.hosts});
        if (!http) co_return failed("connection", http.error().text);
        // Without a signature: any response shows that there is an HTTP server.
        net::request ask{.method = "HEAD", .to = address_.to, .target = address_.path_of("")};
        ask.timing.connect = options_.connect_timeout;
        ask.timing.first_byte = options_.read_timeout;
        const auto asked_at = options_.now();
        const auto response = co_await http->send(std::move(ask), until_);
        if (!response) co_return failed("connection", from_transport(response.error()).text);
        const auto server = response->get("server");
        const auto* const security = !address_.to.tls        ? "without TLS"
                                     : options_.tls_insecure ? "with TLS, but the certificate is not verified"
                                                             : "with TLS, the certificate is valid";
        ok("connection", fmt::format("{}{}{}", security, server.empty() ? "" : ", the server is ", server));
        const auto date = parse_http_date(response->get("date"));
        if (!date) co_return note("clock", "the response has no Date");
        const auto off = std::chrono::duration_cast<seconds>(*date - asked_at);
        if (std::chrono::abs(off) > limits::s3_clock_skew_tolerated) {
            co_return note("clock",
                           fmt::format("this machine and the service differ by {} seconds; requests will be signed "
                                       "with the service's time, but set the clock right (NTP)",
                                       off.count()));
        }
        co_return ok("clock", fmt::format("within {} seconds of the service's", std::chrono::abs(off).count() + 1));
    }

    awaitable<bool> check_credentials() {
        const auto keys = co_await keys_->get(until_);
        if (!keys) co_return failed("credentials", keys.error().text);
        co_return ok("credentials", fmt::format("from {}{}", keys->source,
                                                keys->expires_at ? ", good until " + format_http_date(*keys->expires_at)
                                                                 : std::string()));
    }

    awaitable<bool> check_bucket(const client& bucket) {
        // A listing, not a HEAD: its errors have a body with the reason.
        const auto page = co_await bucket.list({.keys_max = 1}, until_);
        if (page) {
            if (!page->objects.empty()) stored_key_ = page->objects.front().key;
            ok("bucket", fmt::format("{} is there and can be listed", options_.bucket));
        } else if (kind_of(page.error()) == error_kind::access_denied) {
            // The daemon can use such a bucket. The next steps show which other operations are allowed.
            may_list_ = false;
            note("bucket",
                 fmt::format("these keys may not list it ({}). Without s3:ListBucket blocks can be written and "
                             "read, but there is no index (keep-balance stops), trash is never emptied, and a "
                             "block that is not there may be answered 503 instead of 404: allow s3:ListBucket",
                             without_advice(page.error())));
        } else if (kind_of(page.error()) == error_kind::unsupported && !options_.list_v1) {
            co_return failed("bucket", page.error().text + " (the service may only know the old form of listings)");
        } else {
            co_return failed("bucket", page.error().text);
        }
        if (bucket.region() != options_.region) {
            note("region",
                 fmt::format("the bucket is in {0}, not in {1}: set Region to {0} to save a request after each start",
                             bucket.region(), options_.region));
        }
        co_return true;
    }

    /// For read-only volumes: reads some stored object.
    awaitable<void> check_stored(const client& bucket) {
        if (stored_key_.empty()) {
            note("get", may_list_ ? "nothing is stored that could be read"
                                  : "no object is known that could be read: whether these keys may read is not known");
            co_return;
        }
        auto body = co_await bucket.get(stored_key_, {.range = byte_range{0, 1}}, until_);
        // An empty object has no first byte.
        if (body || kind_of(body.error()) == error_kind::invalid_range)
            ok("get", "what is stored can be read");
        else
            failed("get", body.error().text);
    }

    /// \returns whether anything can be written.
    awaitable<bool> check_objects(const client& bucket, std::string name) {
        const std::string text(test_content);
        put_options with;
        with.md5 = md5_of(text);
        with.metadata = {{"probe", "1"}};
        const auto put = co_await bucket.put(name, body_of(text), with, until_);
        if (!put) {
            failed("put", put.error().text);
            // The object may have been stored although the response was lost.
            if (kind_of(put.error()) == error_kind::timeout) static_cast<void>(co_await bucket.del(name, late()));
            co_return false;
        }
        switch (judge_etag(*put, *with.md5)) {
            case etag_verdict::confirms:
                ok("put", "the ETag is the MD5");
                break;
            case etag_verdict::nothing:
                note("put", "the ETag is not the MD5 (encryption by KMS?); Content-MD5 protects writes");
                break;
            case etag_verdict::contradicts:
                note("put",
                     "the ETag looks like an MD5 and is another one: the daemon reads its first block back after each "
                     "start, and then relies on Content-MD5");
                break;
        }

        co_await check_reading(bucket, name);
        co_await check_digest(bucket, name + "-digest");
        co_await check_condition(bucket, name);
        co_await check_copy(bucket, name, name + "-copy");

        const auto deleted = co_await bucket.del(name, late());
        if (!deleted) {
            failed("delete", fmt::format("{} The object {} is left behind.", deleted.error().text, name));
            co_return true;
        }
        const auto gone = co_await bucket.head(name, late());
        // Without s3:ListBucket S3 denies access to objects that do not exist.
        const bool hidden = !gone && !may_list_ && kind_of(gone.error()) == error_kind::access_denied;
        if (gone) {
            failed("delete", "a deleted object is still there: is this bucket locked or eventually consistent?");
        } else if (gone.error() != errc::not_found && !hidden) {
            failed("delete", gone.error().text);
        } else {
            ok("delete", "deleted objects are gone");
        }
        co_return true;
    }

    awaitable<void> check_reading(const client& bucket, std::string name) {
        const std::string text(test_content);
        const auto info = co_await bucket.head(name, until_);
        const auto whole = co_await get_text(bucket, name, {}, until_);
        const auto part = co_await get_text(bucket, name, {.range = byte_range{5, 6}}, until_);
        if (!info || !whole || !part) {
            failed("get", (!info ? info.error() : !whole ? whole.error() : part.error()).text);
        } else if (*whole != text || *part != text.substr(5, 6)) {
            failed("get", "what was read is not what was written: do not use this service");
        } else if (info->find_metadata("probe") != "1") {
            note("get", fmt::format("metadata is not stored ({})", join(info->metadata)));
        } else {
            ok("get", "whole, in part, and with metadata");
        }
    }

    /// A wrong Content-MD5 must be refused: writes rely on it.
    awaitable<void> check_digest(const client& bucket, std::string name) {
        put_options wrong;
        wrong.md5 = md5_of("something else");
        const auto put = co_await bucket.put(name, body_of(test_content), wrong, until_);
        if (put) {
            static_cast<void>(co_await bucket.del(name, late()));
            failed("digest",
                   "the service takes a body that is not what Content-MD5 says: damage on the way would go unnoticed");
        } else if (kind_of(put.error()) != error_kind::bad_digest && kind_of(put.error()) != error_kind::invalid) {
            failed("digest", put.error().text);
        } else {
            ok("digest", "a damaged body is refused");
        }
    }

    /// A conditional PUT, only if there is no such object. Without it the driver needs more requests.
    awaitable<void> check_condition(const client& bucket, std::string name) {
        put_options how;
        how.md5 = md5_of(test_content);
        how.metadata = {{"probe", "1"}};
        how.if_absent = true;
        const auto again = co_await bucket.put(name, body_of(test_content), how, until_);
        const auto kind = again ? error_kind::unsupported : kind_of(again.error());
        if (kind == error_kind::precondition) {
            ok("condition", "If-None-Match is honoured: a small new block costs two requests");
        } else if (kind == error_kind::unsupported || kind == error_kind::invalid) {
            ok("condition", "the service does not honour If-None-Match: a small new block costs a GET more");
        } else {
            failed("condition", again.error().text);
        }
    }

    awaitable<void> check_copy(const client& bucket, std::string name, std::string to) {
        const auto copied = co_await bucket.copy(name, to, {}, until_);
        if (!copied) {
            failed("copy", copied.error().text);
            co_return;
        }
        const auto content = co_await get_text(bucket, to, {}, until_);
        // Onto itself: renews the object's time.
        const auto touched = co_await bucket.copy(to, to, {.replace_metadata = name_values{{"probe", "2"}}}, until_);
        const auto deleted = co_await bucket.del(to, late());
        if (!content || *content != test_content) {
            failed("copy", content ? "the copy is not the original" : content.error().text);
        } else if (!touched) {
            note("copy", "objects cannot be copied onto themselves: " + touched.error().text);
        } else if (!deleted) {
            failed("copy", fmt::format("{} The object {} is left behind.", deleted.error().text, to));
        } else {
            ok("copy", "objects can be copied, as trash needs it");
        }
    }

    /// Needed for blocks of unknown length, and for large ones in parts.
    awaitable<void> check_multipart(const client& bucket, std::string name) {
        const auto id = co_await bucket.create_multipart(name, {}, until_);
        if (!id) {
            note("multipart", id.error().text + " Only uploads without a Content-Length need it, and they will fail.");
            co_return;
        }
        const auto uploads = co_await bucket.list_uploads(name, "", "", until_);
        const auto aborted = co_await bucket.abort_multipart(name, *id, late());
        if (!aborted) {
            note("multipart", fmt::format("{} Unfinished uploads stay and cost money: allow "
                                          "s3:AbortMultipartUpload, and let a lifecycle rule of the bucket abort them.",
                                          aborted.error().text));
        } else if (!uploads) {
            note("multipart", fmt::format("multipart uploads work, but those left by a killed daemon are not found "
                                          "({}): allow s3:ListBucketMultipartUploads, or let a lifecycle rule of the "
                                          "bucket abort them",
                                          without_advice(uploads.error())));
        } else {
            ok("multipart", "multipart uploads can be created, listed and aborted");
        }
    }

    /// The deadline of clean-up, which runs also after `until_`.
    [[nodiscard]] deadline late() const {
        return until_.is_never() ? until_ : deadline(until_.at() + limits::s3_probe_cleanup);
    }

    client_options options_;
    const std::shared_ptr<credentials_cache> keys_;
    const probe_extent extent_;
    const probe_output out_;
    const deadline until_;
    bucket_address address_;
    std::string stored_key_;  ///< The key of some object in the bucket; empty if none is known.
    bool may_list_ = true;
    bool good_ = true;
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
