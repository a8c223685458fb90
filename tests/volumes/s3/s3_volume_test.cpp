// Properties of S3 volumes that other volumes do not have, on a real S3 server.
#include "tests/contract/colliding_blocks.hpp"
#include "tests/volumes/s3/read_helpers.hpp"
#include "tests/volumes/s3/s3_fixture.hpp"
#include "tests/volumes/s3/tcp_relay.hpp"
#include "volumes/cloud/attribute.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

namespace keepstore::test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Counts the bytes that are held, as the pool would.
class counted_memory {
  public:
    const_slice make(std::span<const std::byte> content) {
        auto* const owner = new piece(*this, content);
        const buffer_ref share(owner);
        return {owner->bytes, share};
    }
    std::atomic<std::size_t> held = 0;

  private:
    struct piece final : buffer_owner {
        piece(counted_memory& h, std::span<const std::byte> content) : home(h), bytes(content.begin(), content.end()) {
            home.held += bytes.size();
        }
        void recycle() noexcept override {
            home.held -= bytes.size();
            delete this;
        }
        counted_memory& home;
        const keepstore::test::bytes bytes;
    };
};

}  // namespace

TEST_CASE("a block is stored with two requests and read with one", "[volumes][s3]") {
    auto f = make_fixture();
    // The first small block is used for finding out what the service can do.
    REQUIRE(put(*f.volume, md5_name({}), {}).has_value());
    for (const std::size_t size : {std::size_t{1}, 64 * KiB, 3 * MiB, 64 * MiB}) {
        CAPTURE(size);
        const auto content = random_bytes(size);
        const auto name = md5_name(content);
        const auto puts = f.requests("put");
        const auto gets = f.requests("get");
        const auto heads = f.requests("head");
        REQUIRE(put(*f.volume, name, content).has_value());
        CHECK(f.requests("put") == puts + 2);
        CHECK(get(*f.volume, name).value() == content);
        CHECK(f.requests("get") == gets + 1);
        CHECK(f.requests("head") == heads);
        CHECK(f.head_object(name.hex())->etag == name.hex());
        CHECK(f.head_object("recent/" + name.hex())->size == 0);
    }
}

TEST_CASE("a small block is put without a request before, and an existing copy is compared", "[volumes][s3]") {
    auto f = make_fixture();
    CHECK_FALSE(f.volume->compares_on_commit(1000));
    REQUIRE(put(*f.volume, md5_name({}), {}).has_value());
    REQUIRE(f.volume->compares_on_commit(1000));
    CHECK_FALSE(f.volume->compares_on_commit(1 * MiB));
    CHECK_FALSE(f.volume->compares_on_commit(std::nullopt));
    const auto content = random_bytes(100'000);
    const auto name = md5_name(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    CHECK(f.requests("get") == 0);
    const auto etag_time = f.head_object(name.hex())->last_modified;
    s3_fixture::settle();
    // Equal: it stays, with a new time.
    REQUIRE(put(*f.volume, name, content).has_value());
    CHECK(f.requests("get") == 1);
    CHECK(f.head_object(name.hex())->last_modified == etag_time);
    CHECK(f.head_object("recent/" + name.hex())->last_modified > etag_time);
    // Rotten, in each way: replaced.
    auto flipped = content;
    flipped.back() ^= std::byte{1};
    for (const auto& corrupt : {flipped, bytes(content.begin(), content.end() - 1), bytes{}, random_bytes(200'000)}) {
        f.put_object(name.hex(), corrupt);
        REQUIRE(put(*f.volume, name, content).has_value());
        CHECK(get(*f.volume, name).value() == content);
    }
}

TEST_CASE("a block is never replaced by another with the same MD5", "[volumes][s3]") {
    const auto [one, two] = colliding_blocks();
    REQUIRE(one != two);
    REQUIRE(md5_name(one) == md5_name(two));
    auto f = make_fixture();
    REQUIRE(put(*f.volume, md5_name({}), {}).has_value());
    REQUIRE(put(*f.volume, md5_name(one), one).has_value());
    CHECK(is_error(put(*f.volume, md5_name(two), two), errc::collision));
    CHECK(get(*f.volume, md5_name(one)).value() == one);
}

TEST_CASE("S3 refuses a block whose content is not what its name says, and keeps nothing", "[volumes][s3]") {
    auto f = make_fixture();
    for (const std::size_t size : {std::size_t{1000}, 2 * MiB}) {
        for (const bool size_known : {true, false}) {
            const auto name = random_name();
            const auto known = size_known ? std::optional<std::uint64_t>(size) : std::nullopt;
            const auto written = run(write_block(*f.volume, name, random_bytes(size), known, 256 * KiB));
            CHECK_FALSE(written.has_value());
            CHECK_FALSE(f.head_object(name.hex()).has_value());
            CHECK_FALSE(f.head_object("recent/" + name.hex()).has_value());
        }
    }
}

TEST_CASE("a block of unknown size becomes one object, and is verified", "[volumes][s3]") {
    auto f = make_fixture();
    const auto content = random_bytes(12 * MiB + 5);
    const auto name = md5_name(content);
    REQUIRE(run(write_block(*f.volume, name, content, std::nullopt, 256 * KiB)).has_value());
    CHECK(get(*f.volume, name).value() == content);
    CHECK(run(f.objects().list_uploads("", "", "", soon())).value().uploads.empty());
    // Dropped after a part was sent: the upload is aborted.
    {
        auto writer = run(f.volume->create(random_name(), std::nullopt, soon()));
        REQUIRE(writer.has_value());
        for (int i = 0; i < 24; ++i) {
            REQUIRE(run((*writer)->append(copy_to_heap_slice(random_bytes(256 * KiB)), soon())).has_value());
        }
        CHECK(run(f.objects().list_uploads("", "", "", soon())).value().uploads.size() == 1);
    }
    const auto limit = deadline::in(seconds(40));
    while (!run(f.objects().list_uploads("", "", "", soon())).value().uploads.empty()) REQUIRE_FALSE(limit.passed());
}

TEST_CASE("a block in parts is a block like any other", "[volumes][s3][parts]") {
    s3_fixture f([](volumes::s3_options& o) {
        o.trash_lifetime = hours(1);
        o.prefix_length = 3;
        o.always_parts = true;
    });
    const auto content = random_bytes(20 * MiB + 3);
    const auto name = md5_name(content);
    const auto value = random_bytes(100);
    for (int round = 0; round < 2; ++round) {  // The second one replaces the first.
        auto writer = run(f.volume->create(name, content.size(), soon()));
        REQUIRE(writer.has_value());
        REQUIRE(run((*writer)->append(copy_to_heap_slice(content), soon())).has_value());
        REQUIRE(run((*writer)->commit(std::pair("keepstore.waypoints", value), soon())).has_value());
    }
    const auto key = volumes::s3::object_names(3).block(name);
    CHECK(f.head_object(key)->etag.ends_with("-5"));
    CHECK(run(f.objects().list_uploads("", "", "", soon())).value().uploads.empty());
    CHECK(get(*f.volume, name).value() == content);
    {
        auto reader = run(f.volume->open(name, soon()));
        REQUIRE(reader.has_value());
        CHECK(run((*reader)->read_attribute("keepstore.waypoints", soon())).value() == value);
    }
    // The copies inside the bucket are of an object whose ETag is no MD5.
    s3_fixture::settle();
    REQUIRE(run(f.volume->trash(name, {.protect_for = {}, .lifetime = hours(1)}, soon())) ==
            volumes::trash_outcome::trashed);
    CHECK(is_error(get(*f.volume, name), errc::not_found));
    REQUIRE(run(f.volume->untrash(name, soon())).has_value());
    CHECK(get(*f.volume, name).value() == content);
}

TEST_CASE("where a connection is slow a lone writer or reader gets several", "[volumes][s3][parts][ranges]") {
    auto f = make_fixture();
    tcp_relay far(f.port());
    far.limit_rate(30 << 20);
    auto options = f.options;
    options.endpoint = far.url();
    const auto volume = std::move(*volumes::open_s3_volume(options));
    using clock = std::chrono::steady_clock;
    std::vector<std::pair<md5_digest, bytes>> written;
    std::vector<clock::duration> took;
    std::vector<std::string> etags;
    const auto write = [&] {
        auto content = random_bytes(32 * MiB);
        const auto name = md5_name(content);
        const auto begin = clock::now();
        REQUIRE(run(write_block(*volume, name, content, content.size(), 256 * KiB)).has_value());
        took.push_back(clock::now() - begin);
        etags.push_back(f.head_object(name.hex())->etag);
        written.emplace_back(name, std::move(content));
    };
    write();
    CHECK(etags.back().find('-') == std::string::npos);
    // One that a busy machine was slow to hand over says nothing about the connection: the next one does.
    for (int i = 0; i < 5 && !etags.back().ends_with("-7"); ++i) write();
    CHECK(etags.back().ends_with("-7"));
    CHECK(took.back() < took.front());

    const auto gets = [&] { return volume->stats().operations["get"]; };
    // \returns how many GETs it took.
    const auto read = [&](const std::pair<md5_digest, bytes>& which) {
        const auto& [name, content] = which;
        const auto before = gets();
        const auto begin = clock::now();
        auto reader = run(volume->open_for(name, {.size = content.size()}, soon()));
        REQUIRE(reader.has_value());
        CHECK(run(read_in_order(**reader, 256 * KiB)).value() == content);
        took.push_back(clock::now() - begin);
        return gets() - before;
    };
    took.clear();
    CHECK(read(written.front()) == 1);
    // The volume may learn of its end a moment after us.
    const auto limit = deadline::in(seconds(30));
    while (read(written.back()) != 8) REQUIRE_FALSE(limit.passed());
    CHECK(took.back() < took.front());
}

TEST_CASE("uploads that a killed daemon has left are aborted at the start, and no others", "[volumes][s3]") {
    auto f = make_fixture();
    const auto begin = [&](const std::string& key) {
        return run(f.objects().create_multipart(key, {}, soon())).value();
    };
    static_cast<void>(begin(random_name().hex()));
    static_cast<void>(begin("other/object"));
    const auto uploads = [&] { return run(f.objects().list_uploads("", "", "", soon())).value().uploads.size(); };
    REQUIRE(uploads() == 2);
    {
        // Young ones may be at work.
        const auto other = f.open();
        while (other->stats().operations["list"] == 0) std::this_thread::yield();
    }
    CHECK(uploads() == 2);
    f.clock_shift = hours(25);
    const auto late = f.open();
    const auto limit = deadline::in(seconds(40));
    while (uploads() == 2) REQUIRE_FALSE(limit.passed());
    CHECK(run(f.objects().list_uploads("", "", "", soon())).value().uploads.at(0).key == "other/object");
}

TEST_CASE("a writer holds no more than its queue and one piece", "[volumes][s3][memory]") {
    auto f = make_fixture();
    counted_memory memory;
    const std::size_t queue = 512 * KiB;
    const auto content = random_bytes(24 * MiB);
    const auto name = md5_name(content);
    auto writer = run(f.volume->create(name, content.size(), soon()));
    REQUIRE(writer.has_value());
    (*writer)->set_queue_bytes(queue);
    std::size_t most = 0;
    for (std::size_t at = 0; at < content.size(); at += 256 * KiB) {
        auto piece = memory.make(std::span(content).subspan(at, 256 * KiB));
        REQUIRE(run((*writer)->append(std::move(piece), soon())).has_value());
        most = std::max(most, memory.held.load());
    }
    CHECK(most <= queue + 256 * KiB);
    CHECK(is_error(get(*f.volume, name), errc::not_found));
    REQUIRE(run((*writer)->commit(std::nullopt, soon())).has_value());
    writer->reset();
    CHECK(memory.held == 0);
    CHECK(get(*f.volume, name).value() == content);
}

TEST_CASE("a writer of a new block checks for a copy with one request", "[volumes][s3]") {
    auto f = make_fixture();
    const auto name = md5_name(random_bytes(100));
    CHECK(run(f.volume->open_for(name, {.size = 3 * MiB, .replaces = true}, soon())).error() == errc::not_found);
    CHECK(f.requests("get") == 1);
    CHECK(f.requests("head") == 0);
    // A reader looks whether it was trashed by mistake.
    CHECK(run(f.volume->open_for(name, {.size = 3 * MiB}, soon())).error() == errc::not_found);
    CHECK(f.requests("get") == 2);
    CHECK(f.requests("head") == 1);
}

TEST_CASE("the index is the same in parallel and one page after the other", "[volumes][s3][index]") {
    auto f = s3_fixture([](volumes::s3_options& o) {
        o.index_page_size = 20;
        o.prefix_length = 3;
        o.any_content = true;
    });
    const volumes::s3::object_names names(3);
    for (int i = 0; i < 300; ++i) {
        const auto name = random_name();
        f.put_object(names.block(name), random_bytes(static_cast<std::size_t>(i)));
        if (i % 3 != 0) f.put_object(names.recent(name), {});
        if (i % 5 == 0) f.put_object(names.trash(name), {});
    }
    // Markers without blocks, and objects that are no blocks.
    for (int i = 0; i < 20; ++i) f.put_object(names.recent(random_name()), {});
    const auto misplaced = random_name();
    f.put_object(misplaced.hex(), {});
    f.put_object("000/nonsense", {});
    f.put_object("zzz", {});
    f.put_object("README", {});
    auto sequential_options = f.options;
    sequential_options.parallel_index = false;
    auto opened = volumes::open_s3_volume(sequential_options);
    REQUIRE(opened.has_value());
    const auto listed = [](volumes::volume& v, const std::string& prefix) {
        collecting_sink sink;
        const auto r = run(v.index(prefix, sink, deadline::in(seconds(30))), seconds(40));
        if (!r) throw std::runtime_error(r.error().text);
        std::ranges::sort(sink.blocks, {}, &volumes::block_info::name);
        return sink.blocks;
    };
    for (const char* prefix : {"", "a", "ab", "abc", "abcd", "7", "7f"}) {
        CAPTURE(prefix);
        const auto parallel = listed(*f.volume, prefix);
        const auto sequential = listed(**opened, prefix);
        REQUIRE(parallel.size() == sequential.size());
        for (std::size_t i = 0; i < parallel.size(); ++i) {
            REQUIRE(parallel[i].name == sequential[i].name);
            REQUIRE(parallel[i].size == sequential[i].size);
            REQUIRE(parallel[i].mtime == sequential[i].mtime);
        }
        if (*prefix == '\0') CHECK(parallel.size() == 300);
    }
    // Keys that begin as those of blocks do are counted, however the work is cut.
    CHECK(index_foreign(*f.volume).value() == 2);
    CHECK(index_foreign(**opened).value() == 2);
    CHECK(index_foreign(*f.volume, "0").value() == (misplaced.hex().starts_with('0') ? 2 : 1));
}

TEST_CASE("without UnsafeDelete nothing is deleted past the trash", "[volumes][s3]") {
    auto f = make_fixture();
    const auto content = random_bytes(10);
    const auto name = md5_name(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    s3_fixture::settle();
    CHECK(is_error(run(f.volume->trash(name, trash_at_once(hours(0)), soon())), errc::unsupported));
    CHECK(get(*f.volume, name).value() == content);
}

TEST_CASE("a wrong bucket or wrong keys are reported soon, and never as missing blocks", "[volumes][s3][health]") {
    auto f = make_fixture();
    auto wrong = f.options;
    std::string expected;
    SECTION("no such bucket") {
        wrong.bucket += "-none";
        expected = "bucket";
    }
    SECTION("wrong secret") {
        wrong.secret_access_key = s3::secret_string("wrong");
        expected = "SecretAccessKey";
    }
    SECTION("unknown key") {
        wrong.access_key_id = "unknown";
        expected = "AccessKeyID";
    }
    auto opened = volumes::open_s3_volume(wrong);
    REQUIRE(opened.has_value());
    auto& v = **opened;
    const auto limit = deadline::in(seconds(40));
    while (v.health().empty()) {
        REQUIRE_FALSE(limit.passed());
        std::this_thread::yield();
    }
    CHECK_THAT(v.health(), Catch::Contains(expected, Catch::CaseSensitive::No));
    const auto name = random_name();
    CHECK(is_error(get(v, name), errc::unavailable));
    CHECK(is_error(run(v.touch(name, soon())), errc::unavailable));
    CHECK(is_error(run(v.mtime(name, soon())), errc::unavailable));
    CHECK(is_error(run(v.trash(name, trash_at_once(), soon())), errc::unavailable));
    CHECK(is_error(run(v.untrash(name, soon())), errc::unavailable));
    CHECK(is_error(put(v, name, random_bytes(10)), errc::unavailable));
    CHECK(is_error(index_names(v), errc::unavailable));
}

}  // namespace keepstore::test
