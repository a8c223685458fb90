// Changes of a blob by several daemons at a time, and changes whose response is lost.
#include "tests/volumes/azure/stub_container.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <string>

namespace keepstore::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using volumes::trash_outcome;
using fate = azure_memory_service::fate;

constexpr volumes::trash_options into_trash{.protect_for = hours(1), .lifetime = hours(1), .only_if_mtime = {}};
constexpr volumes::trash_options for_good{.protect_for = hours(1), .lifetime = hours(0), .only_if_mtime = {}};

/// A volume with an old block.
struct old_block {
    stub_container c;
    bytes content = random_bytes(1000);
    md5_digest name = digest::md5_of(content);
    volumes::volume& v = *c.volume;

    explicit old_block(std::map<std::string, std::string> metadata = {}) {
        c.service.store(name.hex(), text_of(content), std::move(metadata), hours(48));
    }
    /// Does this just before the first request of the operation is served.
    void before_first(const std::string& operation, std::function<void()> what) {
        c.service.set_hook(
            [operation, what, done = false](const std::string& op, const seen_request&, stub_reply&) mutable {
                if (op == operation && !std::exchange(done, true)) what();
                return fate::serve;
            });
    }
    /// Serves the first request of the operation, and loses the response.
    void lose_first(const std::string& operation) {
        c.service.set_hook([operation, done = false](const std::string& op, const seen_request&, stub_reply&) mutable {
            return op == operation && !std::exchange(done, true) ? fate::lose_answer : fate::serve;
        });
    }
    [[nodiscard]] bool is_readable() { return get(v, name).has_value(); }
    [[nodiscard]] std::string expiry() const {
        const auto blob = c.service.find(name.hex());
        return !blob || !blob->metadata.contains("expires_at") ? "" : blob->metadata.at("expires_at");
    }
    void touch_elsewhere() {
        c.service.change(name.hex(), [](auto& b) { b.metadata["touch"] = "1"; });
    }
    void trash_elsewhere() {
        c.service.change(name.hex(), [](auto& b) { b.metadata["expires_at"] = "99999999999"; });
    }
};

}  // namespace

TEST_CASE("a block that is touched while it is being trashed stays", "[volumes][azure][race]") {
    for (const bool deletes : {false, true}) {
        old_block b;
        b.before_first(deletes ? "delete" : "set_metadata", [&] { b.touch_elsewhere(); });
        CHECK(run(b.v.trash(b.name, deletes ? for_good : into_trash, soon())).value() == trash_outcome::too_new);
        CHECK(b.is_readable());
        CHECK(b.c.service.find(b.name.hex())->metadata.at("touch") == "1");
    }
}

TEST_CASE("a block that is written while it is being trashed stays", "[volumes][azure][race]") {
    for (const bool deletes : {false, true}) {
        old_block b;
        b.before_first(deletes ? "delete" : "set_metadata",
                       [&] { b.c.service.store(b.name.hex(), text_of(b.content)); });
        CHECK(run(b.v.trash(b.name, deletes ? for_good : into_trash, soon())).value() == trash_outcome::too_new);
        CHECK(b.is_readable());
    }
}

TEST_CASE("a touch does not bring back a block that was trashed meanwhile, and says so", "[volumes][azure][race]") {
    old_block b;
    b.before_first("set_metadata", [&] { b.trash_elsewhere(); });
    CHECK(is_error(run(b.v.touch(b.name, soon())), errc::not_found));
    CHECK(b.expiry() == "99999999999");
}

TEST_CASE("a touch that meets another one has done its work", "[volumes][azure][race]") {
    old_block b;
    b.before_first("set_metadata", [&] { b.touch_elsewhere(); });
    CHECK(run(b.v.touch(b.name, soon())).has_value());
    CHECK(b.c.service.count("set_metadata") == 1);
    CHECK(run(b.v.mtime(b.name, soon())).value() > now() - minutes(1));
}

TEST_CASE("the emptying of trash leaves a block that was untrashed since it was listed", "[volumes][azure][race]") {
    old_block b({{"expires_at", "1"}});
    b.before_first("delete",
                   [&] { b.c.service.change(b.name.hex(), [](auto& blob) { blob.metadata.erase("expires_at"); }); });
    const auto emptied = run(b.v.empty_trash(1, soon())).value();
    CHECK(emptied.blocks_deleted == 0);
    CHECK(b.is_readable());
}

TEST_CASE("an equal PUT that meets a trash brings the block back", "[volumes][azure][race]") {
    old_block b;
    b.before_first("set_metadata", [&] { b.trash_elsewhere(); });
    CHECK(put(b.v, b.name, b.content).has_value());
    CHECK(b.is_readable());
    CHECK(b.expiry().empty());
}

TEST_CASE("an equal PUT that meets other content stores the block", "[volumes][azure][race]") {
    old_block b;
    b.before_first("set_metadata", [&] { b.c.service.store(b.name.hex(), "something else"); });
    CHECK(put(b.v, b.name, b.content).has_value());
    CHECK(get(b.v, b.name).value() == b.content);
}

TEST_CASE("waypoints that meet another change leave it, and the block is stored", "[volumes][azure][race]") {
    stub_container c;
    const auto content = random_bytes(2 * MiB);
    const auto name = digest::md5_of(content);
    c.service.set_hook([&](const std::string& operation, const seen_request&, stub_reply&) {
        if (operation == "set_metadata") c.service.change(name.hex(), [](auto& b) { b.metadata["touch"] = "1"; });
        return fate::serve;
    });
    const auto write = [&]() -> awaitable<result<void>> {
        auto writer = co_await c.volume->create(name, content.size(), soon());
        if (!writer) co_return std::unexpected(writer.error());
        if (auto r = co_await (*writer)->append(copy_to_heap_slice(content), soon()); !r) co_return r;
        co_return co_await (*writer)->commit(std::pair("keepstore.waypoints", random_bytes(100)), soon());
    };
    CHECK(run(write()).has_value());
    CHECK(c.service.count("set_metadata") == 1);
    CHECK(c.service.find(name.hex())->metadata == std::map<std::string, std::string>{{"touch", "1"}});
    CHECK(get(*c.volume, name).value() == content);
}

TEST_CASE("a block that is trashed while it is read is missing for the next reader", "[volumes][azure][race]") {
    // Longer than the download runs ahead of its reader: it goes on while the block is trashed.
    stub_container c;
    const auto content = random_bytes(4 * limits::cloud_read_ahead_bytes);
    const auto name = digest::md5_of(content);
    c.service.store(name.hex(), text_of(content), {}, hours(48));
    auto& v = *c.volume;
    const auto trash_between = [&]() -> awaitable<result<bytes>> {
        auto reader = co_await v.open(name, soon());
        if (!reader) co_return std::unexpected(reader.error());
        if (auto r = co_await v.trash(name, into_trash, soon()); !r) co_return std::unexpected(r.error());
        co_return co_await read_block(v, name);
    };
    CHECK(is_error(run(trash_between()), errc::not_found));
    CHECK(c.service.count("get") == 2);
}

TEST_CASE("an equal PUT that meets a deletion stores the block", "[volumes][azure][race]") {
    for (const std::string at : {"get", "set_metadata"}) {
        CAPTURE(at);
        old_block b;
        b.before_first(at, [&] { b.c.service.remove(b.name.hex()); });
        CHECK(put(b.v, b.name, b.content).has_value());
        CHECK(b.is_readable());
    }
}

TEST_CASE("changes whose response is lost are found to be done", "[volumes][azure][race]") {
    SECTION("touch") {
        old_block b;
        b.lose_first("set_metadata");
        CHECK(run(b.v.touch(b.name, soon())).has_value());
        CHECK(run(b.v.mtime(b.name, soon())).value() > now() - minutes(1));
    }
    SECTION("trash") {
        old_block b;
        b.lose_first("set_metadata");
        CHECK(run(b.v.trash(b.name, into_trash, soon())).value() == trash_outcome::trashed);
        CHECK_FALSE(b.is_readable());
    }
    SECTION("trash for good") {
        old_block b;
        b.lose_first("delete");
        CHECK(run(b.v.trash(b.name, for_good, soon())).value() == trash_outcome::trashed);
        CHECK_FALSE(b.c.service.find(b.name.hex()).has_value());
    }
    SECTION("untrash") {
        old_block b({{"expires_at", "99999999999"}});
        b.lose_first("set_metadata");
        CHECK(run(b.v.untrash(b.name, soon())).has_value());
        CHECK(b.is_readable());
    }
    SECTION("a small PUT") {
        old_block b;
        b.c.service.remove(b.name.hex());
        b.lose_first("put");
        CHECK(put(b.v, b.name, b.content).has_value());
        CHECK(b.is_readable());
    }
    SECTION("emptying trash") {
        old_block b({{"expires_at", "1"}});
        b.lose_first("delete");
        CHECK(run(b.v.empty_trash(1, soon())).has_value());
        CHECK_FALSE(b.c.service.find(b.name.hex()).has_value());
    }
    SECTION("a block list") {
        stub_container c;
        c.service.set_hook([done = false](const std::string& op, const seen_request&, stub_reply&) mutable {
            return op == "put_block_list" && !std::exchange(done, true) ? fate::lose_answer : fate::serve;
        });
        const auto content = random_bytes(7 * MiB);
        const auto name = digest::md5_of(content);
        CHECK(run(write_block(*c.volume, name, content, std::nullopt, 256 * KiB)).has_value());
        CHECK(get(*c.volume, name).value() == content);
    }
}

TEST_CASE("a reader goes on over touch and trash, and not over other content", "[volumes][azure][race]") {
    stub_container c;
    const auto content = random_bytes(8 * MiB);
    const auto name = digest::md5_of(content);
    REQUIRE(put(*c.volume, name, content).has_value());
    const auto read_end_after = [&](std::function<void()> change) -> awaitable<result<bytes>> {
        auto reader = co_await c.volume->open_for(name, {.size = content.size(), .part = {0, 1000}}, soon());
        if (!reader) co_return std::unexpected(reader.error());
        const auto into = make_heap_slice(1000);
        if (auto r = co_await (*reader)->read_at(0, into, soon()); !r) co_return std::unexpected(r.error());
        change();
        if (auto r = co_await (*reader)->read_at(7 * MiB, into, soon()); !r) co_return std::unexpected(r.error());
        co_return bytes(into.bytes.begin(), into.bytes.end());
    };
    const bytes expected(content.begin() + 7 * MiB, content.begin() + 7 * MiB + 1000);
    CHECK(run(read_end_after([&] {
              c.service.change(name.hex(), [](auto& b) { b.metadata["touch"] = "1"; });
          })).value() == expected);
    CHECK(run(read_end_after([&] {
              c.service.change(name.hex(), [](auto& b) { b.metadata["expires_at"] = "99999999999"; });
          })).value() == expected);
    c.service.change(name.hex(), [](auto& b) { b.metadata.clear(); });
    const auto other = run(read_end_after([&] { c.service.store(name.hex(), std::string(content.size(), 'x')); }));
    CHECK_FALSE(other.has_value());
    // Of blobs without an MD5 the size is compared.
    c.service.store(name.hex(), text_of(content));
    c.service.change(name.hex(), [](auto& b) { b.md5.clear(); });
    const auto longer = run(read_end_after([&] { c.service.change(name.hex(), [](auto& b) { b.content += 'x'; }); }));
    CHECK_FALSE(longer.has_value());
}

}  // namespace keepstore::test
