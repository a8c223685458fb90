// Blocks that are sent in concurrent parts: the requests, and what is acknowledged.
#include "digest/md5.hpp"
#include "s3/sigv4.hpp"
#include "tests/cloud/stub_service.hpp"
#include "tests/contract/volume_harness.hpp"
#include "tests/volumes/s3/multipart_service.hpp"
#include "tests/volumes/stub_volume.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <map>
#include <thread>

namespace keepstore::test {
namespace {

std::string text_of(const bytes& content) {
    return {reinterpret_cast<const char*>(content.data()), content.size()};
}

result<void> store(volumes::volume& v, const bytes& content) {
    return run(write_block(v, digest::md5_of(content), content, content.size(), 256 * KiB));
}

template <class Condition>
void wait_for(const Condition& condition) {
    const auto limit = deadline::in(std::chrono::seconds(20));
    while (!condition()) {
        REQUIRE_FALSE(limit.passed());
        std::this_thread::yield();
    }
}

}  // namespace

TEST_CASE("a block in parts is one object, and its marker comes last", "[volumes][s3][parts]") {
    for (const std::size_t size : {smallest, 4 * part_bytes, 4 * part_bytes + 1, 64 * MiB}) {
        CAPTURE(size);
        multipart_service service;
        const auto volume = open_volume(service.options());
        const auto content = random_bytes(size);
        REQUIRE(store(*volume, content).has_value());
        CHECK(service.object() == text_of(content));
        const auto sizes = service.part_sizes();
        REQUIRE(sizes.size() == (size + part_bytes - 1) / part_bytes);
        for (std::size_t i = 0; i + 1 < sizes.size(); ++i) CHECK(sizes[i] == part_bytes);
        const auto kinds = service.kinds();
        CHECK(kinds.front() == "create");
        REQUIRE(kinds.size() == sizes.size() + 3);
        CHECK(kinds[kinds.size() - 2] == "complete");
        CHECK(kinds.back() == "marker");
    }
}

TEST_CASE("smaller blocks are one PUT", "[volumes][s3][parts]") {
    multipart_service service;
    const auto volume = open_volume(service.options());
    REQUIRE(store(*volume, random_bytes(limits::cloud_parallel_block_bytes_min - 1)).has_value());
    CHECK(service.kinds() == std::vector<std::string>{"put", "marker"});
}

TEST_CASE("a part that fails is sent again", "[volumes][s3][parts]") {
    const auto content = random_bytes(smallest);
    multipart_service service([](const std::string& kind, std::size_t before) -> std::optional<stub_reply> {
        if (kind == "part" && before == 1) return part_error(500, "InternalError");
        if (kind == "part" && before == 2) return stub_reply{.hang_up = true};
        if (kind == "complete" && before == 0) return part_error(200, "InternalError");
        return std::nullopt;
    });
    const auto volume = open_volume(service.options());
    REQUIRE(store(*volume, content).has_value());
    CHECK(service.object() == text_of(content));
    CHECK(service.count("part") == 6);
    CHECK(service.count("complete") == 2);
    CHECK(service.count("abort") == 0);
}

TEST_CASE("a failed multipart upload is not acknowledged, and aborted when its last part has ended",
          "[volumes][s3][parts]") {
    std::string failing;
    SECTION("a part is refused") {
        failing = "part";
    }
    SECTION("the completion is refused") {
        failing = "complete";
    }
    multipart_service service([&](const std::string& kind, std::size_t) -> std::optional<stub_reply> {
        if (kind == failing) return part_error(400, "InvalidRequest");
        return std::nullopt;
    });
    const auto volume = open_volume(service.options());
    CHECK_FALSE(store(*volume, random_bytes(4 * part_bytes)).has_value());
    wait_for([&] { return service.count("abort") > 0; });
    CHECK(service.count("abort") == 1);
    CHECK(service.count("marker") == 0);
    CHECK_FALSE(service.object().has_value());
}

TEST_CASE("without an upload there is nothing to abort", "[volumes][s3][parts]") {
    multipart_service service([&](const std::string& kind, std::size_t) -> std::optional<stub_reply> {
        if (kind == "create") return part_error(400, "InvalidRequest");
        return std::nullopt;
    });
    const auto volume = open_volume(service.options());
    CHECK_FALSE(store(*volume, random_bytes(smallest)).has_value());
    CHECK(service.kinds() == std::vector<std::string>{"create"});
}

TEST_CASE("a part that S3 confirms with another MD5 is not acknowledged", "[volumes][s3][parts]") {
    std::vector<std::pair<std::string, std::string>> headers{{"ETag", "\"d41d8cd98f00b204e9800998ecf8427e\""}};
    bool good = false;
    SECTION("not the MD5 of what was sent") {}
    SECTION("encrypted with a key of the customer's: it cannot be known") {
        headers.emplace_back("x-amz-server-side-encryption", "aws:kms");
        good = true;
    }
    multipart_service service([&](const std::string& kind, std::size_t before) -> std::optional<stub_reply> {
        if (kind == "part" && before == 1) return stub_reply{.headers = headers};
        if (kind == "complete") {
            return stub_reply{.body = "<CompleteMultipartUploadResult><ETag/></CompleteMultipartUploadResult>"};
        }
        return std::nullopt;
    });
    const auto volume = open_volume(service.options());
    CHECK(store(*volume, random_bytes(smallest)).has_value() == good);
    CHECK(service.count("marker") == (good ? 1U : 0U));
}

TEST_CASE("an ETag of parts that is not Amazon's costs one look at the object, and no block",
          "[volumes][s3][parts][etag]") {
    const std::string other = "0123456789abcdef0123456789abcdef";
    std::string odd;
    std::string etag;
    std::size_t reads = 1;
    SECTION("of the whole: no MD5 of MD5s") {
        odd = "complete";
        etag = other + "-4";
    }
    SECTION("of the whole: like that of a single PUT") {
        odd = "complete";
        etag = other;
    }
    SECTION("of the whole: of another kind") {
        odd = "complete";
        etag = "0x8D01234";
    }
    SECTION("of the parts: like an MD5") {
        odd = "part";
        etag = other;
    }
    SECTION("of the parts: of another kind, so that nothing is known of the whole") {
        odd = "part";
        etag = "0x8D01234";
        reads = 0;
    }
    multipart_service service({}, odd, etag);
    const auto volume = open_volume(service.options());
    for (int i = 0; i < 2; ++i) {
        const auto content = random_bytes(4 * part_bytes);
        REQUIRE(store(*volume, content).has_value());
        CHECK(service.object() == text_of(content));
        CHECK(service.count("get") == reads);
    }
    CHECK(service.count("marker") == 2);
    CHECK(service.count("abort") == 0);
}

TEST_CASE("a block in parts that is not what was sent is not acknowledged, whatever its ETag is",
          "[volumes][s3][parts][etag]") {
    multipart_service service(
        [](const std::string& kind, std::size_t) -> std::optional<stub_reply> {
            if (kind == "get") {
                return stub_reply{.body = "other",
                                  .headers = {{"ETag", "\"e\""}, {"Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT"}}};
            }
            return std::nullopt;
        },
        "complete", "0123456789abcdef0123456789abcdef-4");
    const auto volume = open_volume(service.options());
    CHECK_FALSE(store(*volume, random_bytes(4 * part_bytes)).has_value());
    CHECK(service.count("marker") == 0);
}

TEST_CASE("a completion whose response was lost is checked by reading, where its ETag says nothing",
          "[volumes][s3][parts][etag]") {
    multipart_service service({}, "complete", "0x8D01234");
    service.lose_first_completion();
    const auto volume = open_volume(service.options());
    const auto content = random_bytes(4 * part_bytes);
    REQUIRE(store(*volume, content).has_value());
    CHECK(service.object() == text_of(content));
    CHECK(service.count("complete") == 2);
    CHECK(service.count("get") == 1);
}

TEST_CASE("a completion whose response was lost is checked", "[volumes][s3][parts]") {
    const auto content = random_bytes(4 * part_bytes);
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < 4; ++i) {
        parts.push_back(digest::md5_of(std::span(content).subspan(i * part_bytes, part_bytes)).hex());
    }
    const auto right = s3::multipart_etag(parts).value();
    bool good = false;
    std::string etag;
    SECTION("it is there") {
        good = true;
        etag = right;
    }
    SECTION("another is there") {
        etag = s3::multipart_etag({parts[1], parts[0], parts[2], parts[3]}).value();
    }
    multipart_service service([&](const std::string& kind, std::size_t before) -> std::optional<stub_reply> {
        if (kind == "complete") return before == 0 ? stub_reply{.hang_up = true} : part_error(404, "NoSuchUpload");
        if (kind == "head") {
            return stub_reply{
                .body = std::string(content.size(), 'x'),
                .headers = {{"ETag", "\"" + etag + "\""}, {"Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT"}}};
        }
        return std::nullopt;
    });
    const auto volume = open_volume(service.options());
    CHECK(store(*volume, content).has_value() == good);
    CHECK(service.count("marker") == (good ? 1U : 0U));
}

TEST_CASE("the upload of a writer that leaves is aborted", "[volumes][s3][parts]") {
    multipart_service service;
    const auto volume = open_volume(service.options());
    const auto content = random_bytes(4 * part_bytes);
    {
        auto writer = run(volume->create(digest::md5_of(content), content.size(), soon()));
        REQUIRE(writer.has_value());
        for (std::size_t at = 0; at < 2 * part_bytes + 256 * KiB; at += 256 * KiB) {
            REQUIRE(run((*writer)->append(copy_to_heap_slice(std::span(content).subspan(at, 256 * KiB)), soon()))
                        .has_value());
        }
        // It does not fit.
        CHECK(is_error(run((*writer)->append(copy_to_heap_slice(content), soon())), errc::bad_request));
        CHECK(is_error(run((*writer)->commit(std::nullopt, soon())), errc::bad_request));
    }
    wait_for([&] { return service.count("abort") == 1; });
    CHECK_FALSE(service.object().has_value());
    // Its memory is there again.
    for (unsigned i = 0; i <= limits::cloud_parallel_part_buffers; ++i) REQUIRE(store(*volume, content).has_value());
    CHECK(service.count("put") == 0);
}

TEST_CASE("a writer of parts waits when its memory is used up", "[volumes][s3][parts][memory]") {
    constexpr std::size_t most = limits::cloud_parallel_part_buffers * part_bytes;
    std::atomic<std::size_t> appended = 0;
    std::size_t seen = 0;
    multipart_service service([&](const std::string& kind, std::size_t before) -> std::optional<stub_reply> {
        if (kind != "part" || before > 0) return std::nullopt;
        // No part is answered before all of the memory is full; then there is time to go beyond it.
        const auto limit = deadline::in(std::chrono::seconds(20));
        while (appended < most && !limit.passed()) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        seen = appended;
        return std::nullopt;
    });
    const auto volume = open_volume(service.options());
    const auto content = random_bytes(64 * MiB);
    auto writer = run(volume->create(digest::md5_of(content), content.size(), soon()));
    REQUIRE(writer.has_value());
    for (std::size_t at = 0; at < content.size(); at += 256 * KiB) {
        REQUIRE(
            run((*writer)->append(copy_to_heap_slice(std::span(content).subspan(at, 256 * KiB)), soon())).has_value());
        appended += 256 * KiB;
    }
    REQUIRE(run((*writer)->commit(std::nullopt, soon())).has_value());
    CHECK(seen == most);
    CHECK(service.object() == text_of(content));
}

TEST_CASE("memory for parts is bounded: a writer that gets none sends one PUT", "[volumes][s3][parts][memory]") {
    multipart_service service;
    const auto volume = open_volume(service.options());
    const auto content = random_bytes(smallest);
    std::vector<std::unique_ptr<volumes::block_writer>> writers;
    for (unsigned i = 0; i <= limits::cloud_parallel_part_buffers; ++i) {
        auto writer = run(volume->create(digest::md5_of(content), content.size(), soon()));
        REQUIRE(writer.has_value());
        writers.push_back(std::move(*writer));
    }
    for (auto& writer : writers) {
        // Each makes progress with a single buffer, while there is no other.
        for (std::size_t at = 0; at < content.size(); at += 256 * KiB) {
            REQUIRE(
                run(writer->append(copy_to_heap_slice(std::span(content).subspan(at, 256 * KiB)), soon())).has_value());
        }
    }
    for (auto& writer : writers) REQUIRE(run(writer->commit(std::nullopt, soon())).has_value());
    CHECK(service.count("put") == 1);
    CHECK(service.count("complete") == limits::cloud_parallel_part_buffers);
    CHECK(service.count("marker") == writers.size());
}

}  // namespace keepstore::test
