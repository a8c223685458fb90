/// Reads and writes of the store over volumes in memory that fail on demand. Never allowed: a wrong byte in a response
/// that looks complete, a lost acknowledgement, a leaked chunk.
#include "base/limits.hpp"
#include "store/lists/trash_worker.hpp"
#include "tests/store/store_fixture.hpp"

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;
using namespace std::chrono_literals;

TEST_CASE("blocks of every size come back as they were stored", "[store][block_store]") {
    fixture f;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}, 4 * KiB, 16 * KiB,
                                   16 * KiB + 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * MiB + 7}) {
        for (const bool announce : {true, false}) {
            CAPTURE(size, announce);
            const auto content = make_content(size, 7);
            const auto stored = f.put(string_source(content, announce), name_of(content));
            REQUIRE(stored.has_value());
            CHECK(stored->locator == name_of(content).hex() + "+" + std::to_string(size));
            CHECK(stored->replicas == 1);
            bool complete = false;
            CHECK(reads_right(f, content, &complete));
            CHECK(complete);
        }
    }
}

TEST_CASE("a body whose MD5 is not its name is refused and leaves nothing", "[store][block_store]") {
    fixture f;
    const auto name = name_of("something else");
    const auto stored = f.put(string_source(make_content(2 * chunk + 5)), name);
    REQUIRE_FALSE(stored.has_value());
    CHECK(stored.error() == errc::bad_request);
    CHECK(stored.error().text == "content hash " + name_of(make_content(2 * chunk + 5)).hex() +
                                     " did not match specified locator " + name.hex());
    CHECK_FALSE(f.memory[0]->content(name));
}

TEST_CASE("a body over the block size limit is refused", "[store][block_store]") {
    fixture f;
    const std::string large(limits::block_size_bytes_max + 1, 'x');
    CHECK(f.put(string_source(large), name_of(large)).error() == errc::too_large);
    string_source unannounced(large, false);
    unannounced.step = chunk;
    CHECK(f.put(std::move(unannounced), name_of(large)).error() == errc::too_large);
    CHECK_FALSE(f.memory[0]->content(name_of(large)));
}

TEST_CASE("one chunk of memory is enough to store, compare, repair and read", "[store][block_store]") {
    fixture f({{"default"}, {"default"}}, 1);
    const auto content = make_content(5 * chunk + 17);
    REQUIRE(f.put(content).has_value());
    REQUIRE(f.put(content).has_value());
    f.memory[0]->plant(name_of(content), flipped(content, 3 * chunk + 1));
    REQUIRE(f.put(content).has_value());
    CHECK(f.memory[0]->content(name_of(content)) == content);
    bool complete = false;
    CHECK(reads_right(f, content, &complete));
    CHECK(complete);
}

TEST_CASE("a block that is stored already is compared and touched, not written", "[store][block_store]") {
    fixture f;
    const auto content = make_content(2 * chunk + 9);
    REQUIRE(f.put(content).has_value());
    const int appends = f.faulty[0]->appends;
    REQUIRE(f.put(content).has_value());
    CHECK(f.faulty[0]->appends == appends);
    CHECK(f.faulty[0]->touches == 1);
    CHECK_FALSE(f.memory[1]->content(name_of(content)));
}

TEST_CASE("a wrong body does not mark the stored copy as corrupt", "[store][block_store][corruption]") {
    fixture f;
    const auto content = make_content(2 * chunk + 9);
    const auto name = name_of(content);
    REQUIRE(f.put(content).has_value());
    for (const std::string& wrong :
         {content + "x", content.substr(1), std::string(content.size(), 'y'), std::string()}) {
        CHECK(f.put(string_source(wrong), name).error() == errc::bad_request);
        CHECK(f.store.counters().bad_copies.value() == 0);
        CHECK(f.memory[0]->content(name) == content);
    }
}

TEST_CASE("a block that is trashed between comparing and touching is stored again", "[store][block_store]") {
    for (const std::size_t size : {2 * chunk + 9, std::size_t{1000}}) {
        CAPTURE(size);
        fixture f;
        const auto content = make_content(size);
        REQUIRE(f.put(content).has_value());
        f.faulty[0]->plan.touch_says_not_found = true;
        const int appends = f.faulty[0]->appends;
        REQUIRE(f.put(content).has_value());
        CHECK(f.faulty[0]->appends > appends);
        CHECK(f.memory[0]->content(name_of(content)) == content);
        CHECK(f.store.counters().bad_copies.value() == 0);
        // A small one is still in memory.
        CHECK((f.store.context().copy_pool.snapshot().allocated_bytes == 0) == (size < chunk));
    }
}

TEST_CASE("storing the right data over a bad copy repairs it", "[store][block_store][corruption]") {
    const auto content = make_content(3 * chunk + 100);
    const std::vector<std::pair<std::string, std::string>> damages = {
        {"first byte", flipped(content, 0)},
        {"middle", flipped(content, chunk + 5)},
        {"last byte", flipped(content, content.size() - 1)},
        {"truncated to whole chunks", content.substr(0, 2 * chunk)},
        {"truncated inside a chunk", content.substr(0, 2 * chunk + 1)},
        {"empty", ""},
        {"extended", content + "x"},
        {"zeroed", std::string(content.size(), '\0')},
    };
    for (const auto& [what, bad] : damages) {
        CAPTURE(what);
        fixture f({{"default"}});
        f.memory[0]->plant(name_of(content), bad);
        const auto stored = f.put(content);
        REQUIRE(stored.has_value());
        CHECK(f.memory[0]->content(name_of(content)) == content);
        CHECK(f.store.counters().repaired_copies.value() == 1);
    }
}

// Two different blocks with one MD5 (Wang and Yu, 2004).
TEST_CASE("a true MD5 collision is refused and the stored block stays", "[store][block_store][corruption]") {
    const auto unhex = [](std::string_view hex) {
        std::string out;
        for (std::size_t i = 0; i < hex.size(); i += 2)
            out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
        return out;
    };
    const std::string one = unhex(
        "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a085125e8f7cdc9"
        "9fd91d"
        "bdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0e99f33420f577ee8ce54b67080a80d1ec6"
        "9821bc"
        "b6a8839396f9652b6ff72a70");
    const std::string two = unhex(
        "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a085125e8f7cdc9"
        "9fd91d"
        "bd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0e99f33420f577ee8ce54b67080280d1ec6"
        "9821bc"
        "b6a8839396f965ab6ff72a70");
    REQUIRE(one != two);
    REQUIRE(name_of(one) == name_of(two));
    fixture f({{"default"}});
    REQUIRE(f.put(one).has_value());
    const auto stored = f.put(two);
    REQUIRE_FALSE(stored.has_value());
    CHECK(stored.error() == errc::collision);
    CHECK(f.memory[0]->content(name_of(one)) == one);
    CHECK(f.put(one).has_value());
}

TEST_CASE("a bad copy is never sent as a complete block", "[store][block_store][corruption]") {
    const auto content = make_content(3 * chunk + 100);
    fixture f({{"default"}});
    for (const std::size_t at : {std::size_t{0}, chunk - 1, chunk, 2 * chunk + 7, content.size() - 1}) {
        CAPTURE(at);
        f.memory[0]->plant(name_of(content), flipped(content, at));
        bool complete = true;
        CHECK(reads_right(f, content, &complete));
        CHECK_FALSE(complete);
        string_sink sink;
        CHECK(f.get(name_of(content), content.size(), sink, true).error() == errc::checksum_mismatch);
        CHECK_FALSE(sink.announced);
    }
    const auto small = make_content(1000);
    f.memory[0]->plant(name_of(small), flipped(small, 999));
    string_sink sink;
    CHECK(f.get(name_of(small), small.size(), sink).error() == errc::checksum_mismatch);
    CHECK_FALSE(sink.announced);  // Nothing was sent: the client gets a proper status.
}

TEST_CASE("a good copy on another volume replaces a corrupt, short or unreadable one",
          "[store][block_store][corruption]") {
    const auto content = make_content(3 * chunk + 100);
    for (const std::string what : {"last piece", "short", "long", "unreadable from the start", "unreadable later"}) {
        CAPTURE(what);
        fixture f;
        f.memory[1]->plant(name_of(content), content);
        f.memory[0]->plant(name_of(content), content);
        if (what == "last piece") f.memory[0]->plant(name_of(content), flipped(content, content.size() - 1));
        if (what == "short") f.memory[0]->plant(name_of(content), content.substr(0, content.size() - 1));
        if (what == "long") f.memory[0]->plant(name_of(content), content + "x");
        if (what == "unreadable from the start") f.faulty[0]->plan.fail_read_at = 0;
        if (what == "unreadable later") f.faulty[0]->plan.fail_read_at = 2 * chunk + 1;
        bool complete = false;
        CHECK(reads_right(f, content, &complete));
        CHECK(complete);
        CHECK(f.store.counters().failovers.value() == 1);
    }
}

TEST_CASE("a good copy does not continue a response that began with wrong bytes", "[store][block_store][corruption]") {
    const auto content = make_content(3 * chunk + 100);
    fixture f;
    f.memory[1]->plant(name_of(content), content);
    f.memory[0]->plant(name_of(content), flipped(content, 10));  // In the first piece, detected at the end.
    bool complete = true;
    CHECK(reads_right(f, content, &complete));
    CHECK_FALSE(complete);
}

TEST_CASE("storage classes decide which volumes a PUT uses", "[store][block_store][classes]") {
    fixture f({{"class1"}, {"class1", "class2"}, {"class2"}});
    const auto content = make_content(1000);
    const auto stored = f.put(content, {"class1", "class2"});
    REQUIRE(stored.has_value());
    CHECK(stored->replicas == 2);
    CHECK(stored->storage_classes == std::map<std::string, int>{{"class1", 2}, {"class2", 1}});
    CHECK(f.memory[0]->content(name_of(content)));
    CHECK(f.memory[1]->content(name_of(content)));
    CHECK_FALSE(f.memory[2]->content(name_of(content)));
    CHECK(f.put(make_content(10), {"class404"}).error() == errc::no_space);
    CHECK(f.put(make_content(11), {"class404", "class2"}).has_value());
}
