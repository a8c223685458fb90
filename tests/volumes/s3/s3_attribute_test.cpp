#include "tests/volumes/s3/read_helpers.hpp"
#include "tests/volumes/s3/s3_fixture.hpp"
#include "tests/volumes/s3/tcp_relay.hpp"
#include "volumes/cloud/attribute.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

namespace keepstore::test {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("the attribute of a block lies with its marker and outlives a touch", "[volumes][s3]") {
    auto f = make_fixture();
    const auto content = random_bytes(300 * KiB);
    const auto name = md5_name(content);
    const auto value = random_bytes(1000);
    auto writer = run(f.volume->create(name, content.size(), soon()));
    REQUIRE(run((*writer)->append(copy_to_heap_slice(content), soon())).has_value());
    REQUIRE(run((*writer)->commit(std::pair("keepstore.waypoints", value), soon())).has_value());
    const auto attribute = [&](const std::string& which) {
        auto reader = run(f.volume->open(name, soon()));
        if (!reader) throw std::runtime_error(reader.error().text);
        return run((*reader)->read_attribute(which, soon()));
    };
    CHECK(attribute("keepstore.waypoints").value() == value);
    CHECK(is_error(attribute("keepstore.other"), errc::not_found));
    REQUIRE(run(f.volume->touch(name, soon())).has_value());
    CHECK(attribute("keepstore.waypoints").value() == value);
    // Readers of one download share the request.
    auto one = run(f.volume->open(name, soon()));
    auto two = run(f.volume->open(name, soon()));
    const auto heads = f.requests("head");
    CHECK(run((*one)->read_attribute("keepstore.waypoints", soon())).value() == value);
    CHECK(run((*two)->read_attribute("keepstore.waypoints", soon())).value() == value);
    CHECK(f.requests("head") == heads + 1);
    one->reset();
    two->reset();
    // The Go daemon writes the marker without it.
    f.put_object("recent/" + name.hex(), {});
    CHECK(is_error(attribute("keepstore.waypoints"), errc::not_found));
}

TEST_CASE("attributes survive base64 and nothing else passes for them", "[volumes][s3]") {
    for (std::size_t size = 0; size < 70; ++size) {
        const auto value = random_bytes(size);
        CHECK(volumes::cloud::decode_attribute(volumes::cloud::encode_attribute(value).value()).value() == value);
    }
    CHECK_FALSE(volumes::cloud::encode_attribute(random_bytes(1500)).has_value());
    for (const char* bad : {"A", "AB=", "A===", "AAA-", "AB==AAAA", "AAB=", "AR==", " AAA"}) {
        CAPTURE(bad);
        CHECK_FALSE(volumes::cloud::decode_attribute(bad).has_value());
    }
    CHECK(volumes::cloud::metadata_name("keepstore.Way_points", '-') == "keepstore-way-points");
}

}  // namespace keepstore::test
