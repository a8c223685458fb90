#include "cloud/call_runner.hpp"

#include "base/log.hpp"
#include "cloud/limits.hpp"
#include "cloud/transport_error.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <expected>
#include <optional>
#include <utility>

namespace keepstore::cloud {
namespace {

template <class T>
using outcome = std::expected<T, request_failure>;

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

/// Counts a request without a usable response, and names its operation.
request_failure broken(const call_parts& parts, const call_outline& c, error what) {
    what = from_transport(std::move(what));
    const auto kind = kind_of(what);
    if (kind != error_kind::cancelled) parts.stats.failed(0, {});
    what.text = fmt::format("{} {}: {}", parts.service.name, c.name, what.text);
    return {std::move(what), kind};
}

awaitable<outcome<full_response>> attempt(const call_parts& parts, const call_outline& c, call_attempts& attempts,
                                          bool fresh_connection, const response_check& check, deadline until) {
    parts.stats.count(c.operation);
    auto request = attempts.make_request();
    request.body = c.body.slices;
    request.source = c.body.source;
    request.expect_continue = c.expect_continue;
    request.timing = parts.timing;
    // Every call can be repeated (s3/client.hpp, azure/client.hpp).
    request.idempotent = true;
    request.fresh_connection = fresh_connection;
    const auto sent_at = parts.now();
    auto response = co_await parts.http.send(std::move(request), until);
    if (!response) {
        auto f = broken(parts, c, std::move(response.error()));
        // An error of the caller's source is not retried.
        if (f.what.cause.category() != error_category()) f.kind = error_kind::cancelled;
        co_return std::unexpected(std::move(f));
    }
    if (response->status() < 200 || response->status() > 299) {
        const auto middle = sent_at + (parts.now() - sent_at) / 2;
        auto f = co_await attempts.read_failure(std::move(*response), middle.time_since_epoch());
        parts.stats.failed(f.status, f.code);
        if (f.kind == error_kind::slow_down) parts.stats.throttled.add();
        co_return std::unexpected(std::move(f));
    }

    full_response out{std::move(*response), {}};
    const auto status = out.response.status();
    if (c.reads_body) {
        auto body = co_await out.response.read_all(limits::cloud_xml_bytes_max);
        if (!body) co_return std::unexpected(broken(parts, c, std::move(body.error())));
        out.body = std::move(*body);
    }
    if (auto good = check(out); !good) {
        auto what = std::move(good.error());
        what.text = fmt::format("{} {}: status {}, but {} (request {})", parts.service.name, c.name, status, what.text,
                                printable(out.response.get(parts.service.request_id)));
        const auto kind = kind_of(what);
        parts.stats.failed(status, to_string(kind));
        co_return std::unexpected(request_failure{std::move(what), kind, status});
    }
    if (c.is_data) parts.stats.bytes_out.add(c.body.size());
    co_return out;
}

}  // namespace

awaitable<result<full_response>> run_call(const call_parts& parts, call_outline c, call_attempts& attempts,
                                          const response_check& check, retry_session& session, deadline until) {
    const auto executor = co_await asio::this_coro::executor;
    KS_CO_CHECK(co_await attempts.take_keys(until));

    std::optional<first_piece_keeper> source;
    if (c.body.source) {
        source.emplace(c.body.source);
        c.body.source = &*source;
    }
    unsigned corrections = 0;
    bool fresh_connection = false;
    while (true) {
        auto got = co_await attempt(parts, c, attempts, fresh_connection, check, until);
        if (got) {
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
        if (f.status == 417 && std::exchange(c.expect_continue, false)) continue;
        const auto wait = session.next_wait(f.kind, deadline::clock::now(), f.retry_after);
        if (!wait) {
            if (classify_retry(f.kind) != retry_class::never && !until.passed()) parts.stats.retries_refused.add();
            co_return std::unexpected(std::move(f.what));
        }
        parts.stats.retries.add();
        log::debug(fmt::format("retrying {} request", parts.service.name),
                   {{"error", f.what.text}, {"attempt", session.failures()}});
        asio::steady_timer timer(executor, *wait);
        const auto [stopped] = co_await expiry(timer);
        if (stopped) co_return std::unexpected(parts.service.make_error(error_kind::cancelled, {}));
        // The connection, or the server at its end, may have been the cause.
        fresh_connection = classify_retry(f.kind) == retry_class::transient;
        KS_CO_CHECK(co_await attempts.take_keys(until));
    }
}

}  // namespace keepstore::cloud
