/// Faults of S3 and of the network, and how the client handles them.
#include "s3/limits.hpp"
#include "tests/s3/bucket_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

/// Fails `failures` times in the given way, then succeeds.
stub_service::handler_type fails_first(std::size_t failures, stub_reply how) {
    return [=](const seen_request& r, std::size_t number) {
        if (number < failures) return how;
        if (r.method == "PUT") return stub_reply{.headers = {{"ETag", stub_etag}}};
        return object_reply("content");
    };
}

const std::string copy_answer =
    "<CopyObjectResult><LastModified>2009-10-12T17:50:03Z</LastModified><ETag>\"e\"</ETag></CopyObjectResult>";

}  // namespace

TEST_CASE("transient failures are retried, on a new connection where the old one broke", "[s3][retry][client]") {
    const std::pair<const char*, stub_reply> rows[] = {
        {"500", error_reply(500, "InternalError")},
        {"503", error_reply(503, "SlowDown")},
        {"503 without a body", {.status = 503}},
        {"502 from a proxy", {.status = 502, .body = "<html><body>Bad Gateway</body></html>"}},
        {"429", {.status = 429}},
        {"closed", {.hang_up = true}},
        {"RequestTimeout", error_reply(400, "RequestTimeout")},
        {"success without its headers", {.status = 200, .body = "x"}},
    };
    for (const auto& [name, how] : rows) {
        CAPTURE(name);
        stub_service service(fails_first(2, how));
        const auto bucket = make_bucket(service);
        const auto got = run(get_text(bucket, "k"));
        REQUIRE(got.has_value());
        CHECK(*got == "content");
        CHECK(service.count() == 3);
        CHECK(bucket.stats().retries.value() == 2);
        CHECK(bucket.stats().operations().at("get") == 3);
    }
}

TEST_CASE("the error of a permanent failure has status, code and request id", "[s3][client]") {
    stub_service service(fails_first(100, error_reply(500, "InternalError")));
    const auto bucket = make_bucket(service);
    const auto got = run(bucket.head("k", soon()));
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().text.starts_with("S3 head: 500 (request tx2): "));  // A HEAD has no body.
    const auto body = run(get_text(bucket, "k"));
    REQUIRE_FALSE(body.has_value());
    CHECK(body.error() == errc::unavailable);
    CHECK(body.error().text.starts_with("S3 get: 500 InternalError (request tx2): The storage service failed"));
    CHECK(service.count() == 2 * limits::cloud_attempts_max);
    CHECK(bucket.stats().errors().at("*smithy.OperationError 500 InternalError") == limits::cloud_attempts_max);
    CHECK(bucket.stats().retries_refused.value() == 2);
}

TEST_CASE("permanent failures are not retried", "[s3][retry][client]") {
    for (const auto& [status, code] : {std::pair{403, "AccessDenied"},
                                       {400, "InvalidArgument"},
                                       {412, "PreconditionFailed"},
                                       {501, "NotImplemented"},
                                       {404, "NoSuchKey"},
                                       {403, "InvalidAccessKeyId"}}) {
        CAPTURE(code);
        stub_service service(fails_first(1, error_reply(static_cast<unsigned>(status), code)));
        const auto bucket = make_bucket(service);
        const auto got = run(get_text(bucket, "k"));
        REQUIRE_FALSE(got.has_value());
        CHECK((got.error() == errc::not_found) == (std::string(code) == "NoSuchKey"));
        CHECK(service.count() == 1);
    }
}

TEST_CASE("an error inside a 200 is an error, for every operation but get", "[s3][client]") {
    const auto bad = error_reply(200, "InternalError");
    stub_service service([&](const seen_request&, std::size_t) { return bad; });
    auto options = stub_options(service);
    options.retry.attempts_max = 2;
    const auto bucket = make_bucket(options);
    CHECK(kind(run(bucket.put("k", text_body("x"), {}, soon()))) == error_kind::server);
    CHECK(kind(run(bucket.copy("k", "trash/k", {}, soon()))) == error_kind::server);
    CHECK(kind(run(bucket.del("k", soon()))) == error_kind::server);
    CHECK(kind(run(bucket.list({}, soon()))) == error_kind::server);
    CHECK(kind(run(bucket.create_multipart("k", {}, soon()))) == error_kind::server);
    CHECK(kind(run(bucket.upload_part("k", "u", 1, text_body("x"), {}, soon()))) == error_kind::server);
    CHECK(kind(run(bucket.complete_multipart("k", "u", {"e"}, soon()))) == error_kind::server);
    CHECK(kind(run(bucket.abort_multipart("k", "u", soon()))) == error_kind::server);
    CHECK(service.count() == 16);
}

TEST_CASE("a copy that fails inside its 200 is retried until it is confirmed", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t number) -> stub_reply {
        if (number == 0) return error_reply(200, "SlowDown");
        if (number == 1) return {.body = copy_answer, .cut_after = 30};
        if (number == 2) return {.body = copy_answer.substr(0, 40)};
        if (number == 3) return {};
        return {.body = copy_answer};
    });
    const auto bucket = make_bucket(service);
    CHECK(run(bucket.copy("k", "trash/k", {}, soon()))->etag == "e");
    CHECK(service.count() == 5);
}

TEST_CASE("a truncated listing, or a web page, is an error and not a short listing", "[s3][client]") {
    const std::string page = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    for (const auto& how : {stub_reply{.body = page, .cut_after = 40}, stub_reply{.body = page.substr(0, 50)},
                            stub_reply{.body = "<html><body>login</body></html>"}, stub_reply{}}) {
        stub_service service(
            [&](const seen_request&, std::size_t number) { return number == 0 ? how : stub_reply{.body = page}; });
        const auto bucket = make_bucket(service);
        CHECK(run(bucket.list({}, soon())).has_value());
        CHECK(service.count() == 2);

        stub_service broken([&](const seen_request&, std::size_t) { return how; });
        const auto other = make_bucket(broken);
        const auto got = run(other.list({}, soon()));
        REQUIRE_FALSE(got.has_value());
        CHECK(got.error() == errc::unavailable);
    }
}

TEST_CASE("a completed upload whose response was lost is recognised by its ETag", "[s3][client]") {
    const std::vector<std::string> parts{"d41d8cd98f00b204e9800998ecf8427e", "\"9b2cf535f27731c974343645a3985328\""};
    const auto etag = multipart_etag(parts);
    REQUIRE(etag.has_value());
    // printf of both digests in binary, through md5sum.
    CHECK(*etag == "e0a391cd051234e882ff555d629d60b9-2");
    CHECK_FALSE(multipart_etag({"not-an-md5"}).has_value());
    for (const bool same : {true, false}) {
        stub_service service([&](const seen_request& r, std::size_t number) {
            if (number == 0) return stub_reply{.hang_up = true};
            if (r.method == "POST") return error_reply(404, "NoSuchUpload");
            auto reply = object_reply("x");
            reply.headers.at(0).second = "\"" + (same ? *etag : std::string("other-2")) + "\"";
            return reply;
        });
        const auto bucket = make_bucket(service);
        const auto done = run(bucket.complete_multipart("k", "u", parts, soon()));
        CHECK(done.has_value() == same);
        if (!same) CHECK(kind(done) == error_kind::no_such_upload);
    }
}

TEST_CASE("a download resumes where its connection broke", "[s3][client]") {
    std::string content;
    for (int i = 0; i < 10000; ++i) content += static_cast<char>('a' + i % 23);
    stub_service service([&](const seen_request& r, std::size_t number) {
        auto reply = ranged_reply(r, content);
        if (number < 3) reply.cut_after = 2000;
        return reply;
    });
    const auto bucket = make_bucket(service);
    CHECK(run(get_text(bucket, "k", {.range = byte_range{100, 9000}})) == content.substr(100, 9000));
    const auto seen = service.seen();
    REQUIRE(seen.size() == 4);
    CHECK(seen[0].header("range") == "bytes=100-9099");
    CHECK(seen[1].header("range") == "bytes=2100-9099");
    CHECK(seen[1].header("if-match") == stub_etag);
    CHECK(seen[3].header("range") == "bytes=6100-9099");
    CHECK(bucket.stats().resumed_downloads.value() == 3);
    CHECK(bucket.stats().bytes_in.value() == 9000);
}

TEST_CASE("a download that makes progress may be interrupted any number of times", "[s3][client]") {
    const std::string content(10 * limits::cloud_resume_progress_bytes, 'x');
    stub_service service([&](const seen_request& r, std::size_t) {
        auto reply = ranged_reply(r, content);
        reply.cut_after = limits::cloud_resume_progress_bytes / 2 + 1000;
        return reply;
    });
    const auto bucket = make_bucket(service);
    CHECK(run(get_text(bucket, "k")) == content);
    CHECK(service.count() > 2 * limits::cloud_attempts_max);
    CHECK(service.count() < 25);
}

TEST_CASE("a download does not resume with another object", "[s3][client]") {
    const std::string content(5000, 'x');
    stub_service service([&](const seen_request& r, std::size_t number) {
        auto reply = ranged_reply(r, content);
        if (number == 0) reply.cut_after = 1000;
        if (number > 0) reply.headers.at(0).second = "\"other\"";
        return reply;
    });
    const auto bucket = make_bucket(service);
    CHECK(kind(run(get_text(bucket, "k"))) == error_kind::precondition);
}

TEST_CASE("a download that breaks without progress ends with the error", "[s3][client]") {
    const std::string content(5000, 'x');
    stub_service service([&](const seen_request& r, std::size_t) {
        auto reply = ranged_reply(r, content);
        reply.cut_after = 1;
        return reply;
    });
    const auto bucket = make_bucket(service);
    const auto got = run(get_text(bucket, "k"));
    CHECK(kind(got) == error_kind::network);
    CHECK(service.count() == limits::cloud_attempts_max);
}

TEST_CASE("a service that does not respond costs the deadline and no more", "[s3][client][timeout]") {
    script_server silent([](peer& p, int) { p.wait_closed(); });
    client_options options;
    options.endpoint = "http://127.0.0.1:" + std::to_string(silent.port());
    options.bucket = "keep";
    const auto bucket = make_bucket(options);
    const auto began = steady_clock::now();
    const auto got = run(bucket.head("k", deadline::in(milliseconds(300))));
    const auto took = steady_clock::now() - began;
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error() == errc::timeout);
    CHECK(took >= milliseconds(300));
    CHECK(took < seconds(10));  // One attempt may take minutes.
}

TEST_CASE("ReadTimeout ends an attempt, and the next one may succeed", "[s3][client][timeout]") {
    script_server flaky([](peer& p, int number) {
        if (p.head().empty()) return;
        if (number == 0) {
            p.wait_closed();
        } else {
            p.send("HTTP/1.1 204 No Content\r\n\r\n");
            p.wait_closed();
        }
    });
    client_options options;
    options.endpoint = "http://127.0.0.1:" + std::to_string(flaky.port());
    options.bucket = "keep";
    options.read_timeout = milliseconds(1000);
    const auto bucket = make_bucket(options);
    CHECK(run(bucket.del("k", soon())).has_value());
    CHECK(bucket.stats().retries.value() == 1);
}

TEST_CASE("cancellation ends a call, also while it waits for a retry", "[s3][client][cancel]") {
    stub_service service([](const seen_request&, std::size_t) { return error_reply(503, "SlowDown"); });
    auto options = stub_options(service);
    options.retry.random = [] { return 0.999; };
    options.retry.throttled_base = seconds(100);
    options.retry.wait_max = seconds(100);
    const auto bucket = make_bucket(options);
    auto& context = new_context();
    asio::cancellation_signal signal;
    std::optional<result<void>> outcome;
    const auto work = [](const client& b) -> awaitable<result<void>> {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await b.del("k", deadline::never());
    };
    test::start_work(context, work(bucket), signal.slot(), [&](result<void> r) { outcome = r; });
    const auto limit = steady_clock::now() + seconds(40);
    while (bucket.stats().retries.value() == 0 && steady_clock::now() < limit) context.run_for(milliseconds(5));
    CHECK(service.count() == 1);
    signal.emit(asio::cancellation_type::total);
    while (!outcome && steady_clock::now() < limit) context.run_for(milliseconds(5));
    REQUIRE(outcome.has_value());
    CHECK(outcome->error() == errc::cancelled);
}

TEST_CASE("an outage costs one attempt per call once the retry budget is spent", "[s3][retry][client]") {
    stub_service service([](const seen_request&, std::size_t) { return stub_reply{.status = 500}; });
    const auto bucket = make_bucket(service);
    const auto budget = static_cast<std::size_t>(limits::cloud_retry_tokens_max / limits::cloud_retry_cost_transient);
    for (std::size_t i = 0; i < budget; ++i) CHECK_FALSE(run(bucket.head("k", soon())).has_value());
    const auto before = service.count();
    CHECK(before == budget + budget);  // One each, and the retries.
    CHECK_FALSE(run(bucket.head("k", soon())).has_value());
    CHECK(service.count() == before + 1);
}

TEST_CASE("errors contain no key, signature or object name", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t) {
        return error_reply(403, "SignatureDoesNotMatch",
                           "<StringToSign>AWS4 secret</StringToSign><AWSAccessKeyId>AKID</AWSAccessKeyId>");
    });
    const auto bucket = make_bucket(service);
    const auto got = run(get_text(bucket, "objectname"));
    REQUIRE_FALSE(got.has_value());
    for (const auto* word : {"AKID", "AWS4 secret", "objectname", "AWS4", "Signature="}) {
        CAPTURE(word);
        CHECK(got.error().text.find(word) == std::string::npos);
    }
    CHECK(got.error().text.find("SignatureDoesNotMatch") != std::string::npos);
}
