// Blocks that are fetched by several concurrent ranged GETs: the requests, and what readers get.
#include "digest/md5.hpp"
#include "tests/cloud/stub_service.hpp"
#include "tests/contract/volume_harness.hpp"
#include "tests/volumes/stub_volume.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

#include <charconv>
#include <set>
#include <thread>

namespace keepstore::test {
namespace {

constexpr std::size_t range_bytes = limits::cloud_parallel_range_bytes;

struct asked_range {
    std::size_t first;
    std::size_t last;
};

std::optional<asked_range> range_of(const seen_request& r) {
    const auto text = r.header("range");
    if (!text.starts_with("bytes=")) return std::nullopt;
    asked_range out{0, std::string::npos};
    const auto* const begin = text.data() + 6;
    const auto* const end = text.data() + text.size();
    const auto dash = std::from_chars(begin, end, out.first).ptr;
    if (dash + 1 < end) std::from_chars(dash + 1, end, out.last);
    return out;
}

/// One object under any key, and its ranges as S3 serves them.
class ranged_service {
  public:
    /// What to answer instead to the GET that begins at `first`; called with how many of the same came before it.
    using harm_type = std::function<std::optional<stub_reply>(std::size_t first, std::size_t before)>;

    explicit ranged_service(bytes content, harm_type harm = {})
        : content_(reinterpret_cast<const char*>(content.data()), content.size()),
          harm_(std::move(harm)),
          service_([this](const seen_request& r, std::size_t) { return answer(r); }) {}

    [[nodiscard]] std::unique_ptr<volumes::volume> open() const {
        auto o = stub_options(service_.url(), 2);
        o.always_parts = true;
        return open_volume(std::move(o));
    }
    /// Where the GETs began.
    [[nodiscard]] std::multiset<std::size_t> asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }
    [[nodiscard]] bool with_match() const {
        const std::lock_guard lock(mutex_);
        return with_match_;
    }
    [[nodiscard]] bool without_match() const {
        const std::lock_guard lock(mutex_);
        return without_match_;
    }
    [[nodiscard]] stub_reply part(std::size_t first, std::size_t last) const {
        last = std::min(last, content_.size() - 1);
        return {.status = 206,
                .body = content_.substr(first, last - first + 1),
                .headers = {{"ETag", "\"e\""},
                            {"Last-Modified", "Mon, 12 Oct 2009 17:50:03 GMT"},
                            {"Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                                                  std::to_string(content_.size())}}};
    }
    [[nodiscard]] stub_reply whole() const {
        return {.body = content_, .headers = {{"ETag", "\"e\""}, {"Last-Modified", "Mon, 12 Oct 2009 17:50:03 GMT"}}};
    }

  private:
    stub_reply answer(const seen_request& r) {
        if (r.target.find("list-type=2") != std::string::npos) {
            return {.body = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"};
        }
        if (r.method != "GET") return {.status = 404};
        const auto range = range_of(r);
        const auto first = range ? range->first : 0;
        std::size_t before = 0;
        {
            const std::lock_guard lock(mutex_);
            before = asked_.count(first);
            asked_.insert(first);
            if (first > 0 && r.header("if-match") != "\"e\"") without_match_ = true;
            if (!r.header("if-match").empty()) with_match_ = true;
        }
        if (harm_) {
            if (auto instead = harm_(first, before)) return *instead;
        }
        if (!range) return whole();
        if (first >= content_.size()) return {.status = 416, .body = "<Error><Code>InvalidRange</Code></Error>"};
        return part(first, range->last);
    }

    const std::string content_;
    const harm_type harm_;
    mutable std::mutex mutex_;
    std::multiset<std::size_t> asked_;
    bool with_match_ = false;
    bool without_match_ = false;
    stub_service service_;  // First to go.
};

result<std::unique_ptr<volumes::block_reader>> open_block(volumes::volume& v, std::uint64_t expected_size) {
    return run(v.open_for(random_name(), {.size = expected_size}, soon()));
}

/// From the beginning to the end, in steps like those of a client.
result<bytes> read_all(volumes::block_reader& reader) {
    bytes out(static_cast<std::size_t>(reader.size()));
    for (std::size_t at = 0; at < out.size();) {
        const auto into = make_heap_slice(std::min<std::size_t>(1 * MiB, out.size() - at));
        const auto n = run(reader.read_at(at, into, soon()));
        if (!n) return std::unexpected(n.error());
        std::copy_n(into.bytes.begin(), *n, out.begin() + static_cast<std::ptrdiff_t>(at));
        at += *n;
    }
    return out;
}

result<bytes> fetch_block(volumes::volume& v, std::uint64_t expected_size) {
    auto reader = open_block(v, expected_size);
    if (!reader) return std::unexpected(reader.error());
    return read_all(**reader);
}

}  // namespace

TEST_CASE("a block comes in ranges of one object, each requested once", "[volumes][s3][ranges]") {
    for (const std::size_t size : {16 * MiB, 16 * MiB + 1, 64 * MiB}) {
        CAPTURE(size);
        const auto content = random_bytes(size);
        const ranged_service service(content);
        const auto volume = service.open();
        CHECK((fetch_block(*volume, size).value() == content));
        std::multiset<std::size_t> expected;
        for (std::size_t at = 0; at < size; at += range_bytes) expected.insert(at);
        CHECK(service.asked() == expected);
        CHECK_FALSE(service.without_match());
    }
}

TEST_CASE("a wrong expected size changes nothing", "[volumes][s3][ranges]") {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, range_bytes, 17 * MiB}) {
        for (const std::size_t expected : {std::size_t{0}, 16 * MiB, 64 * MiB}) {
            CAPTURE(size, expected);
            const auto content = random_bytes(size);
            const ranged_service service(content);
            CHECK((fetch_block(*service.open(), expected).value() == content));
        }
    }
}

TEST_CASE("broken ranges are requested again, from where they broke", "[volumes][s3][ranges]") {
    const auto content = random_bytes(20 * MiB);
    const ranged_service* known = nullptr;
    const ranged_service service(content, [&](std::size_t first, std::size_t before) -> std::optional<stub_reply> {
        if (first == 0 && before == 0) {
            auto reply = known->part(0, range_bytes - 1);
            reply.cut_after = 1 * MiB;
            return reply;
        }
        if (first == range_bytes && before == 0)
            return stub_reply{.status = 503, .body = "<Error><Code>SlowDown</Code></Error>"};
        if (first == 2 * range_bytes && before == 0) return stub_reply{.hang_up = true};
        if (first == 3 * range_bytes && before == 0) {
            auto reply = known->part(first, first + range_bytes - 1);
            reply.cut_after = 3 * MiB;
            return reply;
        }
        return std::nullopt;
    });
    known = &service;
    CHECK((fetch_block(*service.open(), content.size()).value() == content));
    CHECK(service.asked().count(1 * MiB) == 1);
    CHECK(service.asked().count(3 * range_bytes + 3 * MiB) == 1);
}

TEST_CASE("reading continues when the block is trashed or written again", "[volumes][s3][ranges]") {
    const auto content = random_bytes(24 * MiB);
    const ranged_service* known = nullptr;
    std::optional<stub_reply> instead;
    const ranged_service service(content, [&](std::size_t first, std::size_t before) -> std::optional<stub_reply> {
        if (first == 2 * range_bytes && before == 0) return instead;
        return std::nullopt;
    });
    known = &service;
    SECTION("written again") {
        instead = stub_reply{.status = 412, .body = "<Error><Code>PreconditionFailed</Code></Error>"};
    }
    SECTION("trashed") {
        instead = stub_reply{.status = 404, .body = "<Error><Code>NoSuchKey</Code></Error>"};
    }
    SECTION("written again, and the service does not honour the condition") {
        instead = known->part(2 * range_bytes, 3 * range_bytes - 1);
        instead->headers[0].second = "\"f\"";
    }
    CHECK((fetch_block(*service.open(), content.size()).value() == content));
    CHECK(service.asked().count(2 * range_bytes) == 2);
}

TEST_CASE("a weak ETag is not sent back as a condition, and still tells a block that was written again",
          "[volumes][s3][ranges]") {
    const auto content = random_bytes(24 * MiB);
    const ranged_service* known = nullptr;
    bool written_again = false;
    SECTION("the same object") {}
    SECTION("written again") {
        written_again = true;
    }
    const ranged_service service(content, [&](std::size_t first, std::size_t before) -> std::optional<stub_reply> {
        auto reply = known->part(first, first + range_bytes - 1);
        reply.headers[0].second = written_again && first == 2 * range_bytes && before == 0 ? "W/\"f\"" : "W/\"e\"";
        return reply;
    });
    known = &service;
    CHECK((fetch_block(*service.open(), content.size()).value() == content));
    CHECK_FALSE(service.with_match());
    CHECK(service.asked().count(2 * range_bytes) == (written_again ? 2 : 1));
}

TEST_CASE("a range that is not of the block is an error", "[volumes][s3][ranges]") {
    const auto content = random_bytes(24 * MiB);
    const ranged_service* known = nullptr;
    stub_reply instead;
    const ranged_service service(content, [&](std::size_t first, std::size_t) -> std::optional<stub_reply> {
        if (first == 2 * range_bytes) return instead;
        return std::nullopt;
    });
    known = &service;
    // No fault of a disk, which would count as a damaged copy.
    auto why = errc::unavailable;
    SECTION("it was deleted") {
        instead = {.status = 404, .body = "<Error><Code>NoSuchKey</Code></Error>"};
        why = errc::not_found;
    }
    SECTION("another size") {
        instead = known->part(2 * range_bytes, 3 * range_bytes - 1);
        instead.headers[0].second = "\"f\"";
        instead.headers[2].second = "bytes 8388608-12582911/25165825";
    }
    SECTION("the service sends another range") {
        instead = known->part(range_bytes, 2 * range_bytes - 1);
    }
    SECTION("the service sends everything") {
        instead = known->whole();
    }
    const auto volume = service.open();
    auto reader = open_block(*volume, content.size());
    REQUIRE(reader.has_value());
    const auto into = make_heap_slice(8 * MiB);
    REQUIRE(run((*reader)->read_at(0, into, soon())).value() == into.size());
    CHECK(std::equal(into.bytes.begin(), into.bytes.end(), content.begin()));
    CHECK(is_error(run((*reader)->read_at(8 * MiB, into, soon())), why));
}

TEST_CASE("without an ETag a range of an object of another size is an error, not bytes of the block",
          "[volumes][s3][ranges]") {
    const auto content = random_bytes(24 * MiB);
    const std::string size = GENERATE("25165823", "25165825", "50331648");
    CAPTURE(size);
    const ranged_service* known = nullptr;
    const ranged_service service(content, [&](std::size_t first, std::size_t) -> std::optional<stub_reply> {
        auto reply = known->part(first, first + range_bytes - 1);
        if (first == 2 * range_bytes) reply.headers[2].second = "bytes 8388608-12582911/" + size;
        reply.headers.erase(reply.headers.begin());
        return reply;
    });
    known = &service;
    const auto volume = service.open();
    auto reader = open_block(*volume, content.size());
    REQUIRE(reader.has_value());
    const auto into = make_heap_slice(8 * MiB);
    REQUIRE(run((*reader)->read_at(0, into, soon())).value() == into.size());
    CHECK(std::equal(into.bytes.begin(), into.bytes.end(), content.begin()));
    CHECK(is_error(run((*reader)->read_at(8 * MiB, into, soon())), errc::unavailable));
}

TEST_CASE("from a service without ranges the whole block is requested", "[volumes][s3][ranges]") {
    const auto content = random_bytes(16 * MiB);
    const ranged_service* known = nullptr;
    std::size_t requests = 0;
    std::optional<stub_reply> first;
    const ranged_service service(content, [&](std::size_t, std::size_t) -> std::optional<stub_reply> {
        if (requests++ == 0 && first) return first;
        return known->whole();
    });
    SECTION("it says so") {
        first = stub_reply{.status = 501, .body = "<Error><Code>NotImplemented</Code></Error>"};
    }
    SECTION("it sends everything") {}
    known = &service;
    CHECK((fetch_block(*service.open(), content.size()).value() == content));
    CHECK(requests == 2);
}

TEST_CASE("the ranges of a reader that leaves are cancelled", "[volumes][s3][ranges][memory]") {
    const auto content = random_bytes(64 * MiB);
    const ranged_service service(content);
    const auto volume = service.open();
    for (int i = 0; i < 8; ++i) {
        const auto reader = open_block(*volume, content.size());
        REQUIRE(reader.has_value());
        const auto into = make_heap_slice(1 * MiB);
        REQUIRE(run((*reader)->read_at(0, into, soon())).has_value());
    }
    // Few ranges were requested, and all their memory is free again when they have been cancelled.
    CHECK(service.asked().size() <= 8 * (1 + limits::cloud_parallel_ranges_at_first));
    const auto limit = deadline::in(std::chrono::seconds(20));
    std::size_t before = 0;
    do {
        REQUIRE_FALSE(limit.passed());
        before = service.asked().size();
        REQUIRE((fetch_block(*volume, content.size()).value() == content));
    } while (service.asked().size() - before < content.size() / range_bytes);
}

TEST_CASE("many blocks in ranges share their memory, and each makes progress", "[volumes][s3][ranges][memory]") {
    const auto content = random_bytes(16 * MiB);
    const ranged_service service(content);
    const auto volume = service.open();
    std::vector<std::unique_ptr<volumes::block_reader>> readers;
    for (unsigned i = 0; i <= limits::cloud_parallel_range_buffers; ++i) {
        auto reader = open_block(*volume, content.size());
        REQUIRE(reader.has_value());
        readers.push_back(std::move(*reader));
    }
    for (const auto& reader : readers) CHECK((read_all(*reader).value() == content));
}

}  // namespace keepstore::test
