/// Bodies that come from a source, and calls on several threads or of a client that is gone.
#include "base/hex.hpp"
#include "base/sha256.hpp"
#include "s3/limits.hpp"
#include "tests/s3/bucket_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

/// A generated body; it can be read once unless it is made rewindable.
class text_source final : public net::body_source {
  public:
    text_source(std::string text, bool rewinds) : text_(std::move(text)), rewinds_(rewinds) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return text_.size(); }
    [[nodiscard]] awaitable<result<const_slice>> next() override {
        ++calls;
        const auto piece = text_.substr(at_, 7);
        at_ += piece.size();
        co_return slice_of(piece);
    }
    [[nodiscard]] bool rewind() override {
        at_ = 0;
        return rewinds_;
    }
    int calls = 0;

  private:
    const std::string text_;
    const bool rewinds_;
    std::size_t at_ = 0;
};

awaitable<result<std::string>> get_text_of(awaitable<result<object_download>> begun) {
    auto download = co_await std::move(begun);
    if (!download) co_return std::unexpected(download.error());
    co_return co_await read_all(std::move(*download));
}

}  // namespace

TEST_CASE("a body from a source is sent again only if it can be rewound", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t number) {
        if (number % 2 == 0) return error_reply(500, "InternalError");
        return stub_reply{.headers = {{"ETag", stub_etag}}};
    });
    const auto bucket = make_bucket(service);
    const std::string text = "a body in several pieces";
    text_source rewinds(text, true);
    CHECK(run(bucket.put("abc", {.source = &rewinds}, {}, soon())).has_value());
    REQUIRE(service.count() == 2);
    CHECK(service.seen().at(0).body == text);
    CHECK(service.seen().at(1).body == text);

    text_source once(text, false);
    CHECK(kind(run(bucket.put("abc", {.source = &once}, {}, soon()))) == error_kind::server);
    CHECK(service.count() == 3);
    CHECK(bucket.stats().bytes_out.value() == text.size());
}

TEST_CASE("a source of which only the first piece was read can be sent again", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t) { return stub_reply{.headers = {{"ETag", stub_etag}}}; });
    auto options = stub_options(service);
    // Nothing listens at the first address of this name.
    options.endpoint = "http://gone.example:" + std::to_string(service.port());
    options.path_style = true;
    options.hosts = {{"gone.example", "127.0.0.99"}};
    options.retry.attempts_max = 3;
    const auto bucket = make_bucket(options);
    text_source once("text", false);
    CHECK(kind(run(bucket.put("abc", {.source = &once}, {}, soon()))) == error_kind::network);
    CHECK(once.calls == 1);
    CHECK(bucket.stats().retries.value() == 2);
    CHECK(bucket.stats().errors().at("*smithy.OperationError") == 3);
}

TEST_CASE("one client serves several event loops concurrently", "[s3][client][threads]") {
    const auto fetched = std::make_shared<std::atomic<int>>(0);
    // In the wrong region and with keys that are refused at first: all calls learn both at the same time.
    stub_service service([](const seen_request& r, std::size_t) {
        const auto signature = r.header("authorization");
        if (signature.find("/eu-west-1/") == std::string::npos) {
            return error_reply(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>");
        }
        if (signature.find("Credential=K0/") != std::string::npos) return error_reply(403, "InvalidAccessKeyId");
        return ranged_reply(r, std::string(5000, 'x'));
    });
    const auto bucket = make_bucket(stub_options(service),
                                    std::make_shared<credentials_cache>(std::make_unique<counting_source>(fetched)));
    const auto many = [](const client& b) -> awaitable<int> {
        int good = 0;
        for (int i = 0; i < 20; ++i) {
            const auto text = co_await get_text(b, "k");
            const auto info = co_await b.head("k", soon());
            if (text && text->size() == 5000 && info) ++good;
        }
        co_return good;
    };
    std::vector<int> good(4);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < good.size(); ++i) threads.emplace_back([&, i] { good[i] = run(many(bucket)); });
    for (auto& t : threads) t.join();
    CHECK(good == std::vector<int>{20, 20, 20, 20});
    CHECK(*fetched == 2);
    CHECK(bucket.region() == "eu-west-1");
    CHECK(bucket.stats().operations().at("head") >= 80);
}

TEST_CASE("a client may be destroyed while its calls run", "[s3][client]") {
    stub_service service([](const seen_request& r, std::size_t) { return ranged_reply(r, "content"); });
    auto bucket = std::make_unique<client>(make_bucket(service));
    auto call = get_text_of(bucket->get("k", {}, soon()));
    bucket.reset();
    CHECK(run(std::move(call)).has_value());
}
