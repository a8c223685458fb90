// What an Azure volume makes of blobs as the Go daemon, other programs and broken writes leave them.
#include "tests/contract/colliding_blocks.hpp"
#include "tests/volumes/azure/stub_container.hpp"
#include "volumes/azure/blob_state.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using volumes::trash_outcome;

using metadata_type = std::map<std::string, std::string>;

std::string unix_second(std::chrono::seconds from_now) {
    const auto at = std::chrono::floor<seconds>(std::chrono::system_clock::now()) + from_now;
    return std::to_string(at.time_since_epoch().count());
}

/// A blob, and what the calls make of it, each on a fresh one.
struct state_row {
    std::string what;
    metadata_type metadata;
    seconds age;
    bool readable;
    std::optional<trash_outcome> trashed;  ///< nullopt: not found.
    bool untrashed;
    std::uint64_t emptied;  ///< Blobs that emptying deletes.
};

std::vector<state_row> state_rows() {
    const auto future = unix_second(hours(1));
    const auto past = unix_second(-hours(1));
    return {
        {"a new block", {}, minutes(1), true, trash_outcome::too_new, false, 0},
        {"an old block", {}, hours(48), true, trash_outcome::trashed, false, 0},
        {"an old block that Go touched", {{"touch", past}}, hours(48), true, trash_outcome::trashed, false, 0},
        {"a block that Go untrashed", {{"expires_at", ""}}, hours(48), true, trash_outcome::trashed, false, 0},
        {"a block in the trash", {{"expires_at", future}}, hours(48), false, std::nullopt, true, 0},
        {"a block in the trash, due", {{"expires_at", past}}, hours(48), false, std::nullopt, true, 1},
        {"trash touched before", {{"expires_at", past}, {"touch", past}}, hours(48), false, std::nullopt, true, 1},
        {"trash with an odd time", {{"expires_at", "soon"}}, hours(48), false, std::nullopt, true, 0},
        {"trash with a broken time", {{"expires_at", past + "x"}}, hours(48), false, std::nullopt, true, 0},
        {"trash with time 0", {{"expires_at", "0"}}, hours(48), false, std::nullopt, true, 1},
    };
}

}  // namespace

TEST_CASE("blobs as other programs leave them", "[volumes][azure][states]") {
    for (const auto& row : state_rows()) {
        CAPTURE(row.what);
        stub_container c;
        auto& v = *c.volume;
        const auto content = random_bytes(1000);
        const auto name = digest::md5_of(content);
        const auto make = [&] { c.service.store(name.hex(), text_of(content), row.metadata, row.age); };

        make();
        const auto got = get(v, name);
        CHECK(got.has_value() == row.readable);
        if (!got) CHECK(got.error() == errc::not_found);
        CHECK(index_names(v).value().size() == (row.readable ? 1 : 0));
        CHECK(run(v.mtime(name, soon())).has_value() == row.readable);

        const auto touched = run(v.touch(name, soon()));
        CHECK(touched.has_value() == row.readable);
        if (touched) CHECK(run(v.mtime(name, soon())).value() > now() - minutes(1));

        make();
        const auto outcome =
            run(v.trash(name, {.protect_for = hours(24), .lifetime = hours(1), .only_if_mtime = {}}, soon()));
        if (row.trashed) {
            CHECK(outcome.value() == *row.trashed);
        } else {
            CHECK(is_error(outcome, errc::not_found));
        }
        if (row.trashed == trash_outcome::trashed) {
            const auto blob = c.service.find(name.hex()).value();
            const auto second = std::stoll(blob.metadata.at("expires_at"));
            CHECK(std::abs(second - std::stoll(unix_second(hours(1)))) <= 2);
            for (const auto& [key, value] : row.metadata) {
                if (key != "expires_at") CHECK(blob.metadata.at(key) == value);
            }
        }

        make();
        const auto untrashed = run(v.untrash(name, soon()));
        CHECK(untrashed.has_value() == row.untrashed);
        if (!untrashed) CHECK(untrashed.error() == errc::not_found);
        if (untrashed) {
            CHECK(get(v, name).value() == content);
            CHECK(run(v.mtime(name, soon())).value() > now() - minutes(1));
            // The Go daemon reads an absent entry as an empty one.
            CHECK_FALSE(c.service.find(name.hex())->metadata.contains("expires_at"));
        }

        make();
        const auto emptied = run(v.empty_trash(2, soon())).value();
        CHECK(emptied.blocks_deleted == row.emptied);
        CHECK(emptied.blocks_in_trash == (row.readable ? 0 : 1 - row.emptied));
        CHECK(c.service.find(name.hex()).has_value() == (row.emptied == 0));

        make();
        CHECK(put(v, name, content).has_value());
        CHECK(get(v, name).value() == content);
        CHECK(run(v.mtime(name, soon())).value() > now() - minutes(1));
        CHECK(run(v.empty_trash(2, soon())).value().blocks_deleted == 0);
    }
}

TEST_CASE("a small block is put by one request, and by three where an equal copy is there", "[volumes][azure]") {
    stub_container c;
    const auto content = random_bytes(1000);
    const auto name = digest::md5_of(content);
    CHECK(c.volume->compares_on_commit(content.size()));
    REQUIRE(put(*c.volume, name, content).has_value());
    CHECK(c.service.count("put") == 1);
    CHECK(c.service.count("get") + c.service.count("head") + c.service.count("set_metadata") == 0);
    c.set_mtime(name, now() - hours(48));
    REQUIRE(put(*c.volume, name, content).has_value());
    CHECK(c.service.count("put") == 2);
    CHECK(c.service.count("get") == 1);
    CHECK(c.service.count("set_metadata") == 1);
    CHECK(run(c.volume->mtime(name, soon())).value() > now() - minutes(1));
}

TEST_CASE("a corrupt copy is replaced, and another block with this MD5 is not", "[volumes][azure]") {
    stub_container c([](auto& o) { o.loops = 1; });
    const auto content = random_bytes(1000);
    const auto name = digest::md5_of(content);
    c.service.store(name.hex(), "something else");
    REQUIRE(put(*c.volume, name, content).has_value());
    CHECK(get(*c.volume, name).value() == content);

    const auto [one, two] = colliding_blocks();
    const auto shared_name = digest::md5_of(one);
    REQUIRE(one != two);
    REQUIRE(shared_name == digest::md5_of(two));
    REQUIRE(put(*c.volume, shared_name, one).has_value());
    CHECK(is_error(put(*c.volume, shared_name, two), errc::collision));
    CHECK(get(*c.volume, shared_name).value() == one);
}

TEST_CASE("a large block is put by one request with its MD5, which the service checks", "[volumes][azure]") {
    stub_container c;
    const auto content = random_bytes(3 * MiB);
    const auto name = digest::md5_of(content);
    REQUIRE(put(*c.volume, name, content).has_value());
    CHECK(c.service.count("put") == 1);
    CHECK(c.service.count("set_metadata") == 0);
    CHECK(get(*c.volume, name).value() == content);
    // Other bytes than announced: nothing is stored.
    const auto other = digest::md5_of(random_bytes(10));
    CHECK_FALSE(put(*c.volume, other, content).has_value());
    CHECK_FALSE(c.service.find(other.hex()).has_value());
}

TEST_CASE("a block of unknown length comes in parts, each with its MD5, and is there as a whole", "[volumes][azure]") {
    stub_container c;
    for (const std::size_t size : {std::size_t{0}, 1 * MiB, 5 * MiB, 5 * MiB + 1, 17 * MiB}) {
        CAPTURE(size);
        const auto content = random_bytes(size);
        const auto name = digest::md5_of(content);
        const auto parts = c.service.count("put_block");
        REQUIRE(run(write_block(*c.volume, name, content, std::nullopt, 256 * KiB)).has_value());
        CHECK(c.service.count("put_block") - parts == (size > 5 * MiB ? (size + 5 * MiB - 1) / (5 * MiB) : 0));
        CHECK(get(*c.volume, name).value() == content);
        // The service keeps the MD5 of the whole block.
        const auto md5 = std::as_bytes(std::span(name.bytes));
        CHECK(c.service.find(name.hex())->md5 == encode_base64(md5));
    }
}

TEST_CASE("a large block goes in parts and comes in ranges, also while it is touched", "[volumes][azure]") {
    stub_container c([](auto& o) { o.always_parts = true; });
    auto& v = *c.volume;
    const auto content = random_bytes(22 * MiB);
    const auto name = digest::md5_of(content);
    REQUIRE(put(v, name, content).has_value());
    CHECK(c.service.count("put") == 0);
    CHECK(c.service.count("put_block") == 5);
    CHECK(c.service.count("put_block_list") == 1);
    // The third range, and all after it, are of a blob with another ETag.
    c.service.set_hook([&, gets = 0](const std::string& operation, const seen_request&, stub_reply&) mutable {
        if (operation == "get" && ++gets == 3) c.service.change(name.hex(), [](auto& b) { b.metadata["touch"] = "1"; });
        return azure_memory_service::fate::serve;
    });
    const auto read = [&]() -> awaitable<result<bytes>> {
        auto reader = co_await v.open_for(name, {.size = content.size()}, soon());
        if (!reader) co_return std::unexpected(reader.error());
        const auto into = make_heap_slice(content.size());
        auto n = co_await (*reader)->read_at(0, into, soon());
        if (!n) co_return std::unexpected(n.error());
        co_return bytes(into.bytes.begin(), into.bytes.end());
    };
    CHECK(run(read()).value() == content);
    CHECK(c.service.count("get") > 6);
}

TEST_CASE("waypoints are metadata of the blob, survive touch and trash, and come with the GET", "[volumes][azure]") {
    stub_container c;
    auto& v = *c.volume;
    const auto value = random_bytes(1000);
    const auto content = random_bytes(2 * MiB);
    const auto name = digest::md5_of(content);
    const auto write = [&]() -> awaitable<result<void>> {
        auto writer = co_await v.create(name, content.size(), soon());
        if (!writer) co_return std::unexpected(writer.error());
        if (auto r = co_await (*writer)->append(copy_to_heap_slice(content), soon()); !r) co_return r;
        co_return co_await (*writer)->commit(std::pair("keepstore.waypoints", value), soon());
    };
    REQUIRE(run(write()).has_value());
    CHECK(c.service.find(name.hex())->metadata.contains("keepstore_waypoints"));
    const auto attribute = [&]() -> awaitable<result<bytes>> {
        auto reader = co_await v.open(name, soon());
        if (!reader) co_return std::unexpected(reader.error());
        co_return co_await (*reader)->read_attribute("keepstore.waypoints", soon());
    };
    CHECK(run(attribute()).value() == value);
    const auto requests = c.service.count("get") + c.service.count("head");
    CHECK(run(attribute()).value() == value);
    CHECK(c.service.count("get") + c.service.count("head") == requests + 1);
    REQUIRE(run(v.touch(name, soon())).has_value());
    CHECK(run(attribute()).value() == value);
    REQUIRE(run(v.trash(name, trash_at_once(), soon())).has_value());
    REQUIRE(run(v.untrash(name, soon())).has_value());
    CHECK(run(attribute()).value() == value);
}

TEST_CASE("blobs that are no blocks are left out of the index, and counted", "[volumes][azure][states]") {
    stub_container c;
    const auto content = random_bytes(5);
    c.service.store(digest::md5_of(content).hex(), text_of(content));
    c.service.store("0-no-block", "stray");
    c.service.store("README", "stray");  // Is in the way of no listing of blocks.
    CHECK(index_names(*c.volume).value().size() == 1);
    CHECK(index_foreign(*c.volume).value() == 1);
    CHECK(index_foreign(*c.volume, "0-no").value() == 0);  // No digits.
}

TEST_CASE("an empty blob is a write in progress while it is young", "[volumes][azure][states]") {
    stub_container c;
    auto& v = *c.volume;
    const auto content = random_bytes(500);
    const auto name = digest::md5_of(content);

    SECTION("a reader waits for its content") {
        c.service.store(name.hex(), "");
        CHECK(index_names(v).value().empty());
        std::size_t looks = 0;
        c.service.set_hook([&](const std::string& operation, const seen_request&, stub_reply&) {
            if (operation == "get" && ++looks == 3) {
                c.service.change(name.hex(), [&](auto& b) { b.content = text_of(content); });
            }
            return azure_memory_service::fate::serve;
        });
        CHECK(get(v, name).value() == content);
        CHECK(looks == 3);
    }
    SECTION("a reader gets it as it is when it is old") {
        c.service.store(name.hex(), "", {}, seconds(10));
        CHECK(get(v, name).value().empty());
        CHECK(index_names(v).value().size() == 1);
    }
    SECTION("the block without content is one") {
        c.service.store(md5_of_nothing.hex(), "");
        CHECK(get(v, md5_of_nothing).value().empty());
        CHECK(c.service.count("get") == 1);
        CHECK(index_names(v).value().size() == 1);
    }
    SECTION("a reader that writes the block next does not wait") {
        c.service.store(name.hex(), "");
        CHECK(is_error(run(v.open_for(name, {.replaces = true}, soon())), errc::not_found));
        CHECK(c.service.count("get") == 1);
    }
    SECTION("a writer replaces it at once") {
        c.service.store(name.hex(), "");
        CHECK(put(v, name, content).has_value());
        CHECK(get(v, name).value() == content);
    }
}

TEST_CASE("trash of several pages is emptied", "[volumes][azure][states]") {
    stub_container c([](auto& o) { o.list_keys_max = 3; });
    for (int i = 0; i < 10; ++i) {
        c.service.store(random_name().hex(), "x", {{"expires_at", i % 2 == 0 ? "1" : "99999999999"}}, hours(48));
    }
    const auto emptied = run(c.volume->empty_trash(2, soon())).value();
    CHECK(emptied.blocks_deleted == 5);
    CHECK(emptied.blocks_in_trash == 5);
    CHECK(index_names(*c.volume).value().empty());
}

TEST_CASE("other blobs of the container are left alone", "[volumes][azure][states]") {
    stub_container c;
    const auto past = unix_second(-hours(1));
    const std::vector<std::string> others = {"ABCDEF0123456789ABCDEF0123456789", "keepstore-probe/access", "abc",
                                             "acbd18db4cc2f85cedef654fccc4a4d80", "recent/x"};
    for (const auto& key : others) c.service.store(key, "x", {{"expires_at", past}}, hours(48));
    CHECK(index_names(*c.volume).value().empty());
    const auto emptied = run(c.volume->empty_trash(4, soon())).value();
    CHECK(emptied.blocks_deleted + emptied.blocks_in_trash == 0);
    for (const auto& key : others) CHECK(c.service.find(key).has_value());
}

TEST_CASE("the state of a blob is read from its metadata", "[volumes][azure][states]") {
    using namespace volumes::azure;
    CHECK_FALSE(is_trashed({}));
    CHECK_FALSE(is_trashed({{"expires_at", ""}}));
    CHECK(is_trashed({{"touch", "1"}, {"expires_at", "2"}}));
    CHECK(deletion_second_of({{"expires_at", "1700000000"}}) == 1700000000);
    CHECK_FALSE(deletion_second_of({{"expires_at", "1700000000 "}}).has_value());
    CHECK_FALSE(deletion_second_of({}).has_value());
    const volumes::cloud::protocol::name_values before{{"waypoints", "w"}, {"touch", "1"}};
    const auto in_trash = trashed(before, 5);
    CHECK(deletion_second_of(in_trash) == 5);
    CHECK(in_trash.size() == 3);
    const auto back = touched(in_trash, 9);
    CHECK_FALSE(is_trashed(back));
    CHECK(back.size() == 2);
}

}  // namespace keepstore::test
