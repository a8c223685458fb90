#include "keepctl/cluster/checkpoint.hpp"

#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace keepstore;
using namespace keepstore::keepctl;
using std::chrono::seconds;

namespace {

constexpr std::chrono::sys_seconds began{seconds(1'795'226'920)};

saved_run some_run() {
    saved_run out{.started_at = began, .digits = 1, .done = shard_set(1), .counts = {{"copied", 7}}};
    out.done.insert(0);
    return out;
}

}  // namespace

TEST_CASE("a run is written in its format, and read back", "[keepctl][checkpoint]") {
    const auto text = encode_run(some_run(), "replicate", "9f0c");
    CHECK(text ==
          R"({"format":"keepctl-run-1","command":"replicate","fingerprint":"9f0c","started_at":"2026-11-21T02:08:40Z",)"
          R"("digits":1,"done":"8000","counts":{"copied":7},"tool":"keepctl )" KEEPSTORE_VERSION "\"}\n");
    const auto back = decode_run(text, "replicate", "9f0c");
    REQUIRE(back);
    CHECK(back->started_at == began);
    CHECK(back->done.contains(0));
    CHECK(back->done.size() == 1);
    CHECK(back->counts.at("copied") == 7);
    CHECK_FALSE(decode_run(text, "clone", "9f0c"));
    CHECK_FALSE(decode_run(text, "replicate", "9f0d"));
}

TEST_CASE("a damaged run is never gone on with", "[keepctl][checkpoint]") {
    const auto text = encode_run(some_run(), "replicate", "9f0c");
    for (std::size_t cut = 0; cut + 2 < text.size(); ++cut)
        CHECK_FALSE(decode_run(text.substr(0, cut), "replicate", "9f0c"));
    const auto with = [&](std::string_view what, std::string_view instead) {
        std::string out = text;
        out.replace(out.find(what), what.size(), instead);
        return decode_run(out, "replicate", "9f0c").has_value();
    };
    CHECK_FALSE(with("keepctl-run-1", "keepctl-run-2"));
    CHECK_FALSE(with("\"digits\":1", "\"digits\":2"));
    CHECK_FALSE(with("\"digits\":1", "\"digits\":9"));
    CHECK_FALSE(with("\"digits\":1", "\"digits\":-1"));
    CHECK_FALSE(with("8000", "80000"));
    CHECK_FALSE(with("2026-11-21", "yesterday"));
    CHECK(with("\"digits\":1", "\"new\":[],\"digits\":1"));
}

TEST_CASE("two runs with one fingerprint exclude each other", "[keepctl][checkpoint]") {
    test::temp_dir dir;
    const std::string folder = dir.path().string() + "/a/b";
    const auto print = fingerprint_of({"replicate", "x"});
    CHECK(print.size() == 16);
    CHECK(print != fingerprint_of({"replicatex", ""}));
    {
        auto first = checkpoint::open(folder, "replicate", print);
        REQUIRE(first);
        const auto second = checkpoint::open(folder, "replicate", print);
        REQUIRE_FALSE(second);
        CHECK(second.error().code == exit_code::conflict);
        REQUIRE(first->save(some_run()));
    }
    auto next = checkpoint::open(folder, "replicate", print);
    REQUIRE(next);
    std::string note;
    CHECK(next->load(began + std::chrono::days(6), note));
    CHECK(note.empty());
    CHECK_FALSE(next->load(began + std::chrono::days(8), note));
    CHECK_THAT(note, Catch::Contains("7 days"));
    next->remove();
    note.clear();
    CHECK_FALSE(next->load(began, note));
    CHECK(note.empty());
    std::ofstream(folder + "/runs/" + print + ".json") << "{";
    CHECK_FALSE(next->load(began, note));
    CHECK_THAT(note, Catch::Contains("damaged"));
}
