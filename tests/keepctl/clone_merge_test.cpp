#include "digest/md5.hpp"
#include "keepctl/clone/clone_bucket.hpp"
#include "keepctl/clone/segment_merge.hpp"
#include "keepctl/cluster/shards.hpp"
#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <random>
#include <set>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::test;

namespace {

/// Keys of a bucket, listed in pages.
struct listed_bucket {
    explicit listed_bucket(std::size_t prefix_length, unsigned page)
        : opened(open_s3_bucket("s3://keep", options(prefix_length)).value()), page_keys(page) {}

    static volumes::s3_options options(std::size_t prefix_length) {
        volumes::s3_options out;
        out.access_key_id = "unused";
        out.secret_access_key = s3::secret_string("unused");
        out.endpoint = "http://127.0.0.1:1";
        out.region = "us-east-1";
        out.bucket = "keep";
        out.prefix_length = prefix_length;
        return out;
    }

    [[nodiscard]] object_cursor::lister lister() {
        return [this](s3::list_options where, deadline) -> awaitable<result<s3::list_page>> {
            ++requests;
            if (fail_at != 0 && requests == fail_at) co_return fail(errc::io_error, "cut");
            s3::list_page out;
            auto at = where.token.empty() ? keys.lower_bound(where.prefix) : keys.upper_bound(where.token);
            for (; at != keys.end() && at->first.starts_with(where.prefix); ++at) {
                if (out.objects.size() == page_keys) {
                    out.truncated = true;
                    out.next = out.objects.back().key;
                    break;
                }
                out.objects.push_back({.key = at->first, .size = at->second, .last_modified = {}, .etag = "e"});
            }
            co_return out;
        };
    }

    const std::unique_ptr<clone_bucket> opened;
    clone_bucket& bucket = *opened;
    std::map<std::string, std::uint64_t> keys;
    unsigned page_keys;
    unsigned requests = 0;
    unsigned fail_at = 0;
};

md5_digest name_of(int i) {
    const auto text = std::to_string(i);
    return digest::md5_of(std::as_bytes(std::span(text)));
}

result<std::vector<merged_block>> merge_all(listed_bucket& source, listed_bucket* target, const std::string& digits,
                                            bool trash, std::uint64_t* foreign = nullptr) {
    segment_merge::inputs inputs{.source = source.bucket,
                                 .target = target ? target->bucket : source.bucket,
                                 .list_source = source.lister(),
                                 .list_target = target ? target->lister() : object_cursor::lister(),
                                 .trash = trash};
    segment_merge merge(inputs, digits);
    std::vector<merged_block> out;
    while (true) {
        auto block = run(merge.next(soon()));
        if (!block) return std::unexpected(block.error());
        if (!*block) break;
        out.push_back(std::move(**block));
    }
    if (foreign) *foreign += merge.foreign();
    return out;
}

}  // namespace

TEST_CASE("the merge of random buckets agrees with sets", "[keepctl][clone]") {
    std::mt19937 random(Catch::rngSeed());
    for (int round = 0; round < 20; ++round) {
        const auto pick = [&](unsigned most) { return std::uniform_int_distribution<unsigned>(0, most)(random); };
        const std::size_t lengths[] = {0, 1, 3};
        listed_bucket source(lengths[pick(2)], 1 + pick(6));
        listed_bucket target(lengths[pick(2)], 1 + pick(6));
        std::map<md5_digest, unsigned> expected;  // A bit for each object.
        for (int i = 0; i < 40; ++i) {
            const auto name = name_of(static_cast<int>(pick(60)));
            const unsigned has = pick(63);
            expected[name] |= has;
            if (has & 1U) source.keys[source.bucket.names.block(name)] = 10;
            if (has & 2U) source.keys[source.bucket.names.recent(name)] = 0;
            if (has & 4U) source.keys[source.bucket.names.trash(name)] = 10;
            if (has & 8U) target.keys[target.bucket.names.block(name)] = 11;
            if (has & 16U) target.keys[target.bucket.names.recent(name)] = 0;
            if (has & 32U) target.keys[target.bucket.names.trash(name)] = 10;
        }
        for (const auto* const key : {"0readme", "README", "recent/x", "trash/y", "zz", "f"})
            source.keys[key] = target.keys[key] = 1;
        const bool trash = pick(1) == 1;
        const unsigned digits = pick(1);
        std::vector<merged_block> got;
        for (std::size_t shard = 0; shard < shard_count(digits); ++shard) {
            auto part = merge_all(source, &target, shard_prefix(digits, shard), trash);
            REQUIRE(part.has_value());
            got.insert(got.end(), part->begin(), part->end());
        }
        std::size_t at = 0;
        for (const auto& [name, has] : expected) {
            if ((has & (trash ? 5U : 1U)) == 0) continue;
            REQUIRE(at < got.size());
            const auto& block = got[at++];
            REQUIRE(block.name == name);
            CHECK(block.source.block.has_value() == ((has & 1U) != 0));
            CHECK(block.source.marker == ((has & 2U) != 0));
            CHECK(block.source.trash.has_value() == (trash && (has & 4U) != 0));
            CHECK(block.target.block.has_value() == ((has & 8U) != 0));
            CHECK(block.target.marker == ((has & 16U) != 0));
            CHECK(block.target.trash.has_value() == (trash && (has & 32U) != 0));
        }
        CHECK(at == got.size());
    }
}

TEST_CASE("a listing that fails anywhere makes the merge fail", "[keepctl][clone]") {
    listed_bucket source(0, 3);
    listed_bucket target(0, 2);
    for (int i = 0; i < 20; ++i) {
        source.keys[name_of(i).hex()] = 1;
        source.keys["recent/" + name_of(i).hex()] = 0;
        target.keys[name_of(i).hex()] = 1;
    }
    REQUIRE(merge_all(source, &target, "", false).value().size() == 20);
    const unsigned needed[] = {source.requests, target.requests};
    for (int side = 0; side < 2; ++side) {
        for (unsigned at = 1; at <= needed[side]; ++at) {
            source.requests = target.requests = 0;
            source.fail_at = target.fail_at = 0;
            (side == 0 ? source : target).fail_at = at;
            CHECK_FALSE(merge_all(source, &target, "", false).has_value());
        }
    }
}

TEST_CASE("names out of order and objects larger than a block", "[keepctl][clone]") {
    listed_bucket source(0, 10);
    source.keys[name_of(1).hex()] = 64 * MiB;
    source.keys[name_of(2).hex()] = 64 * MiB + 1;
    std::uint64_t foreign = 0;
    const auto blocks = merge_all(source, nullptr, "", false, &foreign);
    REQUIRE(blocks.has_value());
    CHECK(blocks->size() == 1);
    CHECK(foreign == 1);

    // A name that comes again is one too many: a merge would plan it twice, and a listing that begins anew has no end.
    for (const auto& [digits, per_page] : {std::pair{"21", 1U}, {"21", 2U}, {"11", 1U}, {"11", 2U}}) {
        CAPTURE(digits, per_page);
        object_cursor unordered(source.bucket, object_kind::block, "",
                                [digits = std::string_view(digits), per_page = per_page](
                                    s3::list_options where, deadline) -> awaitable<result<s3::list_page>> {
                                    s3::list_page out;
                                    const std::size_t from = where.token.empty() ? 0 : 1;
                                    for (const char digit : digits.substr(from, per_page))
                                        out.objects.push_back({.key = std::string(32, digit), .etag = ""});
                                    out.truncated = from + per_page < 2;
                                    if (out.truncated) out.next = out.objects.back().key;
                                    co_return out;
                                });
        REQUIRE(run(unordered.load(soon())).has_value());
        REQUIRE(unordered.current() != nullptr);
        unordered.advance();
        CHECK_FALSE(run(unordered.load(soon())).has_value());
        CHECK(unordered.current() == nullptr);
    }
}

TEST_CASE("a listing of blocks ends where markers and trash begin", "[keepctl][clone]") {
    listed_bucket source(0, 2);
    for (int i = 0; i < 3; ++i) source.keys[name_of(i).hex()] = 1;
    for (int i = 0; i < 20; ++i) {
        source.keys[source.bucket.names.recent(name_of(i))] = 0;
        source.keys[source.bucket.names.trash(name_of(i))] = 1;
    }
    object_cursor blocks(source.bucket, object_kind::block, "", source.lister());
    int count = 0;
    REQUIRE(run(blocks.load(soon())).has_value());
    while (blocks.current() != nullptr) {
        ++count;
        blocks.advance();
        REQUIRE(run(blocks.load(soon())).has_value());
    }
    CHECK(count == 3);
    CHECK(source.requests == 2);  // The second page has the first marker.
    CHECK_FALSE(blocks.needs_page());
    CHECK(blocks.foreign() == 0);
}
