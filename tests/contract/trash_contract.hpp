/// What every volume driver must do with trash: a part of tests/contract/volume_contract.hpp, which includes it.
#pragma once

#include "tests/contract/volume_harness.hpp"

#include <catch2/catch.hpp>

namespace keepstore::test {

TEMPLATE_LIST_TEST_CASE("trash keeps a new block", "[volumes][contract]", KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    const auto content = random_bytes(100);
    REQUIRE(put(v, name, content).has_value());
    const volumes::trash_options options{.protect_for = std::chrono::hours(1), .lifetime = std::chrono::hours(1)};
    CHECK(run(v.trash(name, options, soon())).value() == volumes::trash_outcome::too_new);
    CHECK(get(v, name).value() == content);
    CHECK(run(v.mtime(name, soon())).has_value());
    CHECK(index_names(v).value().size() == 1);
}

TEMPLATE_LIST_TEST_CASE("trash keeps a block whose mtime is not the expected one", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    REQUIRE(put(v, name, random_bytes(100)).has_value());
    maker.set_mtime(name, now() - std::chrono::hours(5));
    const auto mtime = run(v.mtime(name, soon())).value();
    volumes::trash_options options{.protect_for = std::chrono::hours(1), .lifetime = std::chrono::hours(1)};
    options.only_if_mtime = mtime + std::chrono::seconds(1);
    CHECK(run(v.trash(name, options, soon())).value() == volumes::trash_outcome::changed);
    CHECK(get(v, name).has_value());
    options.only_if_mtime = mtime;
    CHECK(run(v.trash(name, options, soon())).value() == volumes::trash_outcome::trashed);
    CHECK(is_error(get(v, name), errc::not_found));
}

TEMPLATE_LIST_TEST_CASE("a trashed block is missing for every call until it is untrashed", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    for (const auto lifetime : {std::chrono::hours(1), std::chrono::hours(0)}) {
        const auto content = random_bytes(100);
        const auto name = digest::md5_of(content);
        REQUIRE(put(v, name, content).has_value());
        maker.set_mtime(name, now() - std::chrono::hours(48));
        const volumes::trash_options options{.protect_for = std::chrono::hours(1), .lifetime = lifetime};
        CHECK(run(v.trash(name, options, soon())).value() == volumes::trash_outcome::trashed);
        CHECK(is_error(get(v, name), errc::not_found));
        CHECK(is_error(run(v.mtime(name, soon())), errc::not_found));
        CHECK(is_error(run(v.touch(name, soon())), errc::not_found));
        CHECK(is_error(run(v.trash(name, options, soon())), errc::not_found));
        CHECK(index_names(v).value().empty());
        CHECK(run(v.untrash(name, soon())).has_value() == (lifetime > std::chrono::hours(0)));
        if (lifetime > std::chrono::hours(0)) {
            CHECK(get(v, name).value() == content);
            // Protected anew: it cannot be trashed again at once.
            CHECK(run(v.mtime(name, soon())).value() > now() - std::chrono::minutes(1));
            CHECK(run(v.trash(name, options, soon())).value() == volumes::trash_outcome::too_new);
            REQUIRE(run(v.trash(name, trash_at_once(std::chrono::hours(0)), soon())).has_value());
        }
    }
}

TEMPLATE_LIST_TEST_CASE("emptying trash deletes the copies that are due and no others", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto content = random_bytes(1234);
    const auto name = digest::md5_of(content);

    SECTION("a copy that is not due stays, and can be restored") {
        REQUIRE(put(v, name, content).has_value());
        REQUIRE(run(v.trash(name, trash_at_once(), soon())).has_value());
        const auto stats = run(v.empty_trash(3, soon()));
        REQUIRE(stats.has_value());
        CHECK(stats->blocks_deleted == 0);
        CHECK(stats->blocks_in_trash == 1);
        CHECK(stats->bytes_in_trash == content.size());
        CHECK(run(v.untrash(name, soon())).has_value());
        CHECK(get(v, name).value() == content);
        if (const auto again = run(v.untrash(name, soon())); !again) CHECK(again.error() == errc::not_found);
        CHECK(get(v, name).value() == content);
    }
    SECTION("a copy that is due can be restored until trash is emptied, and not afterwards") {
        REQUIRE(put(v, name, content).has_value());
        REQUIRE(run(v.trash(name, trash_at_once(std::chrono::nanoseconds(1)), soon())).has_value());
        CHECK(run(v.untrash(name, soon())).has_value());
        CHECK(get(v, name).value() == content);
        REQUIRE(run(v.trash(name, trash_at_once(std::chrono::nanoseconds(1)), soon())).has_value());
        CHECK(is_error(get(v, name), errc::not_found));
        const auto stats = run(v.empty_trash(1, soon()));
        REQUIRE(stats.has_value());
        CHECK(stats->blocks_deleted == 1);
        CHECK(stats->bytes_deleted == content.size());
        CHECK(is_error(run(v.untrash(name, soon())), errc::not_found));
        CHECK(is_error(get(v, name), errc::not_found));
    }
    SECTION("a block written again after trashing survives") {
        REQUIRE(put(v, name, content).has_value());
        REQUIRE(run(v.trash(name, trash_at_once(std::chrono::nanoseconds(1)), soon())).has_value());
        REQUIRE(put(v, name, content).has_value());
        REQUIRE(run(v.empty_trash(2, soon())).has_value());
        CHECK(get(v, name).value() == content);
    }
    SECTION("of a block trashed twice the later copy stays when only the earlier is due") {
        REQUIRE(put(v, name, content).has_value());
        REQUIRE(run(v.trash(name, trash_at_once(std::chrono::nanoseconds(1)), soon())).has_value());
        REQUIRE(put(v, name, content).has_value());
        REQUIRE(run(v.trash(name, trash_at_once(), soon())).has_value());
        REQUIRE(run(v.empty_trash(2, soon())).has_value());
        CHECK(run(v.untrash(name, soon())).has_value());
        CHECK(get(v, name).value() == content);
    }
}

TEMPLATE_LIST_TEST_CASE("untrash touches a block that is there instead of replacing it", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto trashed = random_bytes(50);
    const auto present = random_bytes(60);
    const auto name = digest::md5_of(present);
    REQUIRE(put(v, name, trashed).has_value());
    REQUIRE(run(v.trash(name, trash_at_once(), soon())).has_value());
    REQUIRE(put(v, name, present).has_value());
    maker.set_mtime(name, now() - std::chrono::hours(48));
    const auto untrashed = run(v.untrash(name, soon()));
    CHECK(get(v, name).value() == present);
    if constexpr (TestType::keeps_trash_apart) {
        CHECK(untrashed.has_value());
        CHECK(run(v.mtime(name, soon())).value() > now() - std::chrono::minutes(1));
    } else {
        CHECK(is_error(untrashed, errc::not_found));
    }
}

}  // namespace keepstore::test
