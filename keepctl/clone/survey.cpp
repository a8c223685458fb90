#include "keepctl/clone/survey.hpp"

#include "base/hex.hpp"
#include "keepctl/clone/limits.hpp"
#include "keepctl/clone/object_cursor.hpp"
#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/shards.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

object_cursor::lister list_of(const clone_bucket& bucket) {
    return [&bucket](s3::list_options where, deadline until) { return bucket.list(std::move(where), until); };
}

awaitable<result<std::uint64_t>> count_blocks(const clone_bucket& bucket, std::string digits, deadline until) {
    object_cursor blocks(bucket, object_kind::block, digits, list_of(bucket));
    std::uint64_t out = 0;
    KS_CO_CHECK(co_await blocks.load(until));
    while (blocks.current()) {
        ++out;
        blocks.advance();
        KS_CO_CHECK(co_await blocks.load(until));
    }
    co_return out;
}

awaitable<result<bool>> has_blocks(const clone_bucket& bucket, bool trash, deadline until) {
    for (const auto kind : {object_kind::block, object_kind::trash}) {
        if (kind == object_kind::trash && !trash) break;
        object_cursor objects(bucket, kind, "", list_of(bucket));
        KS_CO_CHECK(co_await objects.load(until));
        if (objects.current()) co_return true;
    }
    co_return false;
}

awaitable<result<bool>> is_empty(const clone_bucket& bucket, deadline until) {
    s3::list_options one;
    one.keys_max = 1;
    KS_CO_TRY(const auto page, co_await bucket.list(std::move(one), until));
    co_return page.objects.empty() && !page.truncated;
}

/// The keys that this one belongs to are listed by segments: a text after all of them.
std::optional<std::string> end_of_known(std::string_view key) {
    using names = volumes::s3::object_names;
    if (key.starts_with(names::recent_folder)) return std::string(names::recent_folder) + '~';
    if (key.starts_with(names::trash_folder)) return std::string(names::trash_folder) + '~';
    if (key.empty() || !is_lower_hex(key.substr(0, 1))) return std::nullopt;
    return key < "a" ? "9~" : "f~";
}

}  // namespace

awaitable<result<unsigned>> clone_digits(const clone_bucket& source, deadline until) {
    KS_CO_TRY(const auto first, co_await source.list({}, until));
    if (!first.truncated) co_return 0U;
    // Too few there to estimate by are too few for more than one digit.
    KS_CO_TRY(const auto entries, co_await count_blocks(source, "000", until));
    co_return std::max(1U, shard_digits(entries * shard_count(3)));
}

awaitable<result<first_look>> look_at(const clone_bucket& source, const clone_bucket& target, bool trash,
                                      deadline until) {
    first_look out;
    std::vector<awaitable<void>> calls;
    calls.push_back(keep_outcome(has_blocks(source, trash, until), out.source_has_blocks));
    calls.push_back(keep_outcome(is_empty(target, until), out.target_is_empty));
    calls.push_back(keep_outcome(clone_digits(source, until), out.digits));
    if (co_await when_all(std::move(calls))) co_return fail(errc::cancelled);
    co_return out;
}

awaitable<result<std::uint64_t>> count_foreign(const clone_bucket& bucket, deadline until) {
    std::uint64_t out = 0;
    std::string after;
    for (unsigned pages = 0; pages < limits::clone_foreign_pages_max; ++pages) {
        s3::list_options where;
        where.start_after = after;
        KS_CO_TRY(const auto page, co_await bucket.list(std::move(where), until));
        bool jumped = false;
        for (const auto& object : page.objects) {
            if (auto end = end_of_known(object.key); end && *end > after) {
                after = std::move(*end);
                jumped = true;
                break;
            }
            ++out;
            after = object.key;
        }
        if (!jumped && !page.truncated) break;
    }
    co_return out;
}

}  // namespace keepstore::keepctl
