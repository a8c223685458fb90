/// Reads of blocks where waypoints cannot be kept: on read-only mounts, and on file systems without attributes.

#include "tests/store/waypoint_fixture.hpp"

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;

namespace {

/// A block store on one volume with attributes, which may not be written to.
struct read_only_fixture {
    read_only_fixture() { volume->keep_attributes(true); }
    [[nodiscard]] std::string read(const std::string& content) {
        string_sink sink;
        const block_read_request request{
            .block = *protocol::locator::parse(name_of(content).hex() + "+" + std::to_string(content.size())),
            .token = "",
            .has_token = false,
            .until = deadline::in(std::chrono::seconds(20))};
        CHECK(run(fixture::get_later(store, request, sink)).has_value());
        return sink.text;
    }

    const std::shared_ptr<memory_volume> volume = std::make_shared<memory_volume>("device");

  private:
    [[nodiscard]] std::vector<mount> mounts() const {
        mount m;
        m.uuid = "zzzzz-nyw5e-000000000000000";
        m.volume = volume;
        m.storage_classes["default"] = true;
        return {m};
    }

    pool::buffer_pool pool{64 * MiB};
    digest::engine engine{1};
    block_store store{{.blob_signing = false}, mount_table(mounts()), pool, engine};
};

}  // namespace

TEST_CASE("nothing is written to a volume that may not be written to", "[store][waypoints]") {
    read_only_fixture f;
    const auto content = make_content(2 * MiB);
    f.volume->plant(name_of(content), content);
    CHECK(f.read(content) == content);
    CHECK_FALSE(f.volume->attribute(name_of(content), key));
}

TEST_CASE("where waypoints cannot be kept a block is sent while it is hashed, each time", "[store][waypoints]") {
    const auto content = make_content(3 * MiB + 100);
    SECTION("the file system has no attributes") {
        waypoint_fixture f(1);
        f.memory[0]->keep_attributes(false);
        f.memory[0]->plant(name_of(content), content);
        for (std::size_t i = 1; i <= 2; ++i) {
            string_sink sink;
            REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
            CHECK(sink.text == content);
            CHECK(f.memory[0]->stats().bytes_in == i * content.size());
        }
    }
    SECTION("the mount is read-only") {
        read_only_fixture f;
        f.volume->plant(name_of(content), content);
        for (std::size_t i = 1; i <= 2; ++i) {
            CHECK(f.read(content) == content);
            CHECK(f.volume->stats().bytes_in == i * content.size());
        }
    }
}
