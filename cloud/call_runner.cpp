#include "cloud/call_runner.hpp"

#include "base/log.hpp"
#include "cloud/limits.hpp"
#include "cloud/transport_error.hpp"

#include <fmt/format.h>

#include <expected>
#include <optional>
#include <utility>

namespace keepstore::cloud {
namespace {

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

/// What differs between the attempts of a call, apart from keys and address.
struct call_runner::sending {
    net::body_source* source = nullptr;
    bool expect_continue = false;
    bool fresh_connection = false;
};

result<net::client> make_http(const connection_options& options) {
    return net::client::make({.connections_max = options.connections_max,
                              .ca_file = options.ca_file,
                              .tls_insecure = options.tls_insecure,
                              .proxies = options.proxies,
                              .hosts = options.hosts});
}

result<void> accept_any(const full_response&) {
    return success();
}

awaitable<result<void>> call_attempts::take_keys(deadline until) {
    if (cache_) {
        KS_CO_TRY(keys_, co_await cache_->get(until));
    }
    co_return success();
}

awaitable<bool> call_attempts::renew_keys(deadline until) {
    if (!cache_ || std::exchange(keys_renewed_, true)) co_return false;
    auto renewed = co_await cache_->renew(keys_, until);
    if (!renewed) co_return false;
    keys_ = std::move(*renewed);
    co_return true;
}

call_runner::call_runner(const service_traits& service, const op_stats_texts& texts, const connection_options& options,
                         net::client http)
    : clock_(service.name),
      service_(service),
      http_(std::move(http)),
      timing_{.connect = options.connect_timeout, .first_byte = options.read_timeout, .progress = options.read_timeout},
      expect_continue_bytes_min_(options.expect_continue_bytes_min),
      now_(options.now),
      retries_(options.retry),
      stats_(texts) {}

awaitable<result<full_response>> call_runner::run(call c, const response_check& check, deadline until) {
    retry_session session(retries_, until);
    co_return co_await run(std::move(c), check, session, until);
}

awaitable<error> call_runner::explain_missing(error not_found, deadline until) {
    if (place_.noted_within(limits::cloud_place_seen_for)) co_return not_found;
    auto head = head_place();
    const auto name = stats_.name_of(head.op);
    const auto got = co_await run(std::move(head), accept_any, until);
    if (got) co_return not_found;
    if (kind_of(got.error()) == error_kind::not_found) {
        co_return service_.make_error(error_kind::no_such_bucket, fmt::format("{} {}: 404", service_.name, name));
    }
    // Credentials without access to the bucket or container as a whole may still have access to its objects.
    if (kind_of(got.error()) == error_kind::access_denied) co_return not_found;
    co_return got.error();
}

/// Counts a request without a usable response, and names its operation.
request_failure call_runner::broken(const call& c, error what) {
    what = from_transport(std::move(what));
    const auto kind = kind_of(what);
    if (kind != error_kind::cancelled) stats_.failed(0, {});
    what.text = fmt::format("{} {}: {}", service_.name, stats_.name_of(c.op), what.text);
    return {std::move(what), kind};
}

awaitable<std::expected<full_response, request_failure>> call_runner::attempt(const call& c, call_attempts& attempts,
                                                                              sending how, const response_check& check,
                                                                              deadline until) {
    stats_.count(c.op);
    auto request = attempts.make_request();
    request.body = c.body.slices;
    request.source = how.source;
    request.expect_continue = how.expect_continue;
    request.timing = timing_;
    // Every call can be repeated (s3/client.hpp, azure/client.hpp).
    request.idempotent = true;
    request.fresh_connection = how.fresh_connection;
    const auto sent_at = now_();
    auto response = co_await http_.send(std::move(request), until);
    if (!response) {
        auto f = broken(c, std::move(response.error()));
        // An error of the caller's source is not retried.
        if (f.what.cause.category() != error_category()) f.kind = error_kind::cancelled;
        co_return std::unexpected(std::move(f));
    }
    if (response->status() < 200 || response->status() > 299) {
        const auto middle = sent_at + (now_() - sent_at) / 2;
        auto f = co_await attempts.read_failure(
            {.operation = stats_.name_of(c.op), .is_head = c.method == "HEAD", .local_time = middle.time_since_epoch()},
            std::move(*response));
        stats_.failed(f.status, f.code);
        if (f.kind == error_kind::slow_down) stats_.throttled.add();
        co_return std::unexpected(std::move(f));
    }

    full_response out{std::move(*response), {}};
    const auto status = out.response.status();
    if (c.reads_body && c.method != "HEAD") {
        auto body = co_await out.response.read_all(limits::cloud_xml_bytes_max);
        if (!body) co_return std::unexpected(broken(c, std::move(body.error())));
        out.body = std::move(*body);
    }
    if (auto good = check(out); !good) {
        auto what = std::move(good.error());
        what.text = fmt::format("{} {}: status {}, but {} (request {})", service_.name, stats_.name_of(c.op), status,
                                what.text, printable(out.response.get(service_.request_id)));
        const auto kind = kind_of(what);
        stats_.failed(status, to_string(kind));
        co_return std::unexpected(request_failure{std::move(what), kind, status});
    }
    if (c.is_data) stats_.bytes_out.add(c.body.size());
    co_return out;
}

awaitable<result<full_response>> call_runner::run_attempts(const call& c, call_attempts& attempts,
                                                           const response_check& check, retry_session& session,
                                                           deadline until) {
    KS_CO_CHECK(co_await attempts.take_keys(until));

    const auto threshold = expect_continue_bytes_min_;
    sending how{.expect_continue = c.is_data && threshold > 0 && c.body.size() >= threshold};
    std::optional<first_piece_keeper> source;
    if (c.body.source) how.source = &source.emplace(c.body.source);
    unsigned corrections = 0;
    while (true) {
        auto got = co_await attempt(c, attempts, how, check, until);
        if (got) {
            place_.note();
            session.succeeded();
            co_return std::move(*got);
        }
        auto& f = got.error();
        if (f.kind == error_kind::cancelled) co_return std::unexpected(std::move(f.what));
        const bool replayable = !source || source->rewind();

        if (corrections < limits::cloud_corrections_max) {
            const bool learned = co_await attempts.correct(f, until);
            if (learned && replayable) {
                ++corrections;
                continue;
            }
        }
        if (!replayable) co_return std::unexpected(std::move(f.what));
        // The service, or a proxy before it, does not know Expect (RFC 9110, 15.5.18).
        if (f.status == 417 && std::exchange(how.expect_continue, false)) continue;
        const auto wait = session.next_wait(f.kind, deadline::clock::now(), f.retry_after);
        if (!wait) {
            if (classify_retry(f.kind) != retry_class::never && !until.passed()) stats_.retries_refused.add();
            co_return std::unexpected(std::move(f.what));
        }
        stats_.retries.add();
        log::debug(fmt::format("retrying {} request", service_.name),
                   {{"error", f.what.text}, {"attempt", session.failures()}});
        if (const auto waited = co_await pause_for(*wait); !waited)
            co_return std::unexpected(service_.make_error(error_kind::cancelled, {}));
        // The connection, or the server at its end, may have been the cause.
        how.fresh_connection = classify_retry(f.kind) == retry_class::transient;
        KS_CO_CHECK(co_await attempts.take_keys(until));
    }
}

}  // namespace keepstore::cloud
