#include "s3/client_core.hpp"

#include "base/log.hpp"
#include "s3/limits.hpp"
#include "cloud/transport_error.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <utility>

namespace keepstore::s3 {
namespace {

using steady = deadline::clock;
using std::chrono::milliseconds;

/// Keeps the first piece of the caller's source until the second is read: the HTTP client reads it before it has a
/// connection, and a request that did not get one must be repeatable even if the source cannot be rewound.
class first_piece_keeper final : public net::body_source {
  public:
    explicit first_piece_keeper(net::body_source* inner) : inner_(inner) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return inner_->size(); }
    [[nodiscard]] awaitable<result<const_slice>> next() override {
        ++pieces_read_;
        if (pieces_read_ == 1 && first_) co_return *first_;
        if (pieces_read_ > 1) first_.reset();
        auto piece = co_await inner_->next();
        if (piece && pieces_read_ == 1) first_ = *piece;
        co_return piece;
    }
    [[nodiscard]] bool rewind() override {
        if (pieces_read_ > 1 && !inner_->rewind()) return false;
        pieces_read_ = 0;
        return true;
    }

  private:
    net::body_source* const inner_;
    unsigned pieces_read_ = 0;
    std::optional<const_slice> first_;
};

}  // namespace

client_core::client_core(client_options options, bucket_address address, net::client http,
                         std::shared_ptr<credentials_cache> keys)
    : options_(std::move(options)),
      keys_(std::move(keys)),
      http_(std::move(http)),
      retries_(options_.retry),
      list_v1_(options_.list_v1),
      address_(std::move(address)),
      region_(options_.region) {}

bucket_address client_core::address() const {
    const std::lock_guard lock(mutex_);
    return address_;
}

std::string client_core::region() const {
    const std::lock_guard lock(mutex_);
    return region_;
}

void client_core::learn_list_v1() {
    if (list_v1_.exchange(true, std::memory_order_relaxed)) return;
    log::info("the S3 service does not support ListObjectsV2; using ListObjects", {{"bucket", options_.bucket}});
}

void client_core::note_bucket_seen() noexcept {
    bucket_seen_.store(steady::now().time_since_epoch().count(), std::memory_order_relaxed);
}

awaitable<result<full_response>> client_core::run(call c, const response_check& check, retry_session& session,
                                                  deadline until) {
    const auto executor = co_await asio::this_coro::executor;
    KS_CO_TRY(auto keys, co_await keys_->get(until));
    attempt_context t{.keys = std::move(keys), .region = region(), .skew = skew()};

    std::optional<first_piece_keeper> source;
    if (c.body.source) {
        source.emplace(c.body.source);
        c.body.source = &*source;
    }
    unsigned corrections = 0;
    while (true) {
        auto got = co_await attempt(c, t, check, until);
        if (got) {
            session.succeeded();
            note_bucket_seen();
            co_return std::move(*got);
        }
        auto& f = got.error();
        if (f.kind == error_kind::cancelled) co_return std::unexpected(std::move(f.what));
        const bool replayable = !source || source->rewind();

        if (corrections < limits::s3_corrections_max) {
            const bool learned = co_await correct(f, t, until);
            if (learned && replayable) {
                ++corrections;
                continue;
            }
        }
        if (!replayable) co_return std::unexpected(std::move(f.what));
        // The service, or a proxy before it, does not know Expect (RFC 9110, 15.5.18).
        if (f.status == 417 && std::exchange(c.expect_continue, false)) continue;
        const auto wait = session.next_wait(f.kind, steady::now(), f.retry_after);
        if (!wait) {
            if (classify_retry(f.kind) != retry_class::never && !until.passed()) stats_.retries_refused.add();
            co_return std::unexpected(std::move(f.what));
        }
        stats_.retries.add();
        log::debug("retrying S3 request", {{"error", f.what.text}, {"attempt", session.failures()}});
        asio::steady_timer timer(executor, *wait);
        const auto [stopped] = co_await expiry(timer);
        if (stopped) co_return std::unexpected(make_error(error_kind::cancelled));
        // The connection, or the server at its end, may have been the cause.
        t.fresh_connection = classify_retry(f.kind) == retry_class::transient;
        KS_CO_TRY(t.keys, co_await keys_->get(until));
    }
}

// METHOD path?query HTTP/1.1
// host: bucket.s3.eu-west-1.amazonaws.com
// ...
// x-amz-date: 20130524T000000Z
// x-amz-content-sha256: UNSIGNED-PAYLOAD
// authorization: AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...
net::request client_core::sign(const call& c, const attempt_context& t) {
    const auto where = address();
    const auto path = where.path_of(c.key);
    const auto query = canonical_query(c.query);
    net::request out;
    out.method = c.method;
    out.to = t.redirected.value_or(where.to);
    out.target = query.empty() ? path : path + "?" + query;

    name_values headers{{"host", net::host_header(out.to)}};
    headers.insert(headers.end(), c.headers.begin(), c.headers.end());
    const auto now = std::chrono::floor<std::chrono::seconds>(options_.now() + t.skew);
    signer_.sign(c.method, path, query, headers, c.payload_hash, t.region, t.keys.keys, now);
    for (auto& [name, value] : headers) out.headers.push_back({std::move(name), std::move(value)});

    out.body = c.body.slices;
    out.source = c.body.source;
    out.expect_continue = c.expect_continue;
    out.timing = {
        .connect = options_.connect_timeout, .first_byte = options_.read_timeout, .progress = options_.read_timeout};
    // In S3 every request can be repeated, even the creation of a multipart upload (s3/client.hpp).
    out.idempotent = true;
    out.fresh_connection = t.fresh_connection;
    return out;
}

awaitable<client_core::outcome<full_response>> client_core::attempt(const call& c, const attempt_context& t,
                                                                    const response_check& check, deadline until) {
    stats_.count(c.op);
    const auto sent_at = options_.now();
    auto response = co_await http_.send(sign(c, t), until);
    if (!response) {
        auto what = from_transport(std::move(response.error()));
        const auto kind = kind_of(what);
        if (kind != error_kind::cancelled) stats_.failed(0, {});
        what.text = fmt::format("S3 {}: {}", to_string(c.op), what.text);
        // An error of the caller's source is not retried.
        const bool foreign = what.cause.category() != error_category();
        co_return std::unexpected(request_failure{std::move(what), foreign ? error_kind::cancelled : kind});
    }
    if (response->status() < 200 || response->status() > 299) {
        const auto middle = sent_at + (options_.now() - sent_at) / 2;
        auto f = co_await read_failure(c.op, std::move(*response), middle.time_since_epoch());
        stats_.failed(f.status, f.code);
        if (f.kind == error_kind::slow_down) stats_.throttled.add();
        if (f.code == "NoSuchKey") note_bucket_seen();
        // A bare 404 may be of a misconfigured proxy: explain_missing then has to check the bucket.
        if (f.kind == error_kind::not_found && f.code.empty() && !f.from_s3) {
            bucket_seen_.store(0, std::memory_order_relaxed);
        }
        co_return std::unexpected(std::move(f));
    }

    full_response out{std::move(*response), {}};
    const auto status = out.response.status();
    if (c.op != operation::get && c.method != "HEAD") {
        auto body = co_await out.response.read_all(limits::s3_xml_bytes_max);
        if (!body) {
            auto what = from_transport(std::move(body.error()));
            const auto kind = kind_of(what);
            if (kind != error_kind::cancelled) stats_.failed(0, {});
            what.text = fmt::format("S3 {}: {}", to_string(c.op), what.text);
            co_return std::unexpected(request_failure{std::move(what), kind});
        }
        out.body = std::move(*body);
    }
    if (auto good = check(out); !good) {
        auto what = std::move(good.error());
        what.text = fmt::format("S3 {}: status {}, but {} (request {})", to_string(c.op), status, what.text,
                                printable(out.response.get("x-amz-request-id")));
        const auto kind = kind_of(what);
        stats_.failed(status, to_string(kind));
        co_return std::unexpected(request_failure{std::move(what), kind, status});
    }
    if (c.is_data) stats_.bytes_out.add(c.body.size());
    co_return out;
}

awaitable<bool> client_core::correct(const request_failure& f, attempt_context& t, deadline until) {
    if (learn_region(f, t) || learn_clock(f, t)) co_return true;
    // The response to a HEAD has no body that would tell of an expired token (a bare 400 from Amazon) or a replaced key
    // (403). Where the keys are valid and access is denied, the cache limits the fetches that this causes.
    const bool no_reason =
        (f.status == 400 || f.status == 403) && f.code.empty() && f.kind != error_kind::malformed_response;
    const bool about_keys = f.kind == error_kind::expired_token || f.kind == error_kind::bad_credentials || no_reason;
    if (!about_keys || t.keys_renewed) co_return false;
    t.keys_renewed = true;
    auto renewed = co_await keys_->renew(t.keys, until);
    if (!renewed) co_return false;
    t.keys = std::move(*renewed);
    co_return true;
}

bool client_core::learn_region(const request_failure& f, attempt_context& t) {
    if (f.location && f.location != t.redirected) {
        t.redirected = f.location;
        return true;
    }
    // Amazon sends the header with many errors. A signature for another region is refused with 301, 400 or 403; to a
    // HEAD without a reason.
    const bool about_region = f.kind == error_kind::wrong_region || f.status == 400 || f.status == 403;
    if (!about_region || f.region.empty() || f.region == t.region) return false;
    t.region = f.region;
    const std::lock_guard lock(mutex_);
    if (region_ == f.region) return true;
    region_ = f.region;
    if (address_.follows_region) {
        auto moved = make_bucket_address({.endpoint = options_.endpoint,
                                          .region = region_,
                                          .bucket = options_.bucket,
                                          .path_style = options_.path_style});
        if (moved) address_ = std::move(*moved);
    }
    log::warning("the bucket is in another region than configured",
                 {{"bucket", options_.bucket}, {"region", region_}, {"configured", options_.region}});
    return true;
}

bool client_core::learn_clock(const request_failure& f, attempt_context& t) {
    if (!f.clock_offset) return false;
    // Also after a 403 without a reason (HEAD), and for services without an error code for signatures that are too old.
    if (f.kind != error_kind::clock_skew && f.kind != error_kind::access_denied &&
        f.kind != error_kind::bad_credentials) {
        return false;
    }
    const auto offset =
        std::chrono::abs(*f.clock_offset) < limits::s3_clock_skew_tolerated ? milliseconds(0) : *f.clock_offset;
    if (std::chrono::abs(offset - t.skew) < limits::s3_clock_skew_tolerated) return false;
    t.skew = offset;
    skew_.store(offset.count(), std::memory_order_relaxed);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(offset).count();
    if (seconds == 0) {
        log::info("the clocks of this machine and of the S3 service agree again");
    } else {
        log::warning(
            "the clocks of this machine and of the S3 service differ; requests are signed with the service's time",
            {{"seconds", std::int64_t{seconds}}});
    }
    return true;
}

awaitable<error> client_core::explain_missing(error not_found, deadline until) {
    const auto seen = steady::time_point(steady::duration(bucket_seen_.load(std::memory_order_relaxed)));
    if (seen.time_since_epoch().count() != 0 && steady::now() - seen < limits::s3_bucket_seen_for) co_return not_found;
    call c{.op = operation::head_bucket, .method = "HEAD", .key = {}};
    const response_check accept = [](const full_response&) { return success(); };
    retry_session session(retries_, until);
    const auto got = co_await run(std::move(c), accept, session, until);
    if (got) co_return not_found;
    if (kind_of(got.error()) == error_kind::not_found) {
        co_return make_error(error_kind::no_such_bucket, "S3 head_bucket: 404");
    }
    // Keys without access to the bucket as a whole may still have access to its objects.
    if (kind_of(got.error()) == error_kind::access_denied) co_return not_found;
    co_return got.error();
}

awaitable<std::optional<error>> client_core::explain_refusal(deadline until) {
    call c{.op = operation::list,
           .method = "GET",
           .key = {},
           .query = {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", ""}}};
    const response_check accept = [](const full_response&) { return success(); };
    retry_session session(retries_, until);
    auto got = co_await run(std::move(c), accept, session, until);
    if (got) co_return std::nullopt;
    co_return std::move(got.error());
}

}  // namespace keepstore::s3
