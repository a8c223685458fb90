#include "keepctl/cluster/listing.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/name_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace keepstore::keepctl {
namespace {

class comparison {
  public:
    comparison(session& s, block_place& a, block_place& b)
        : session_(s),
          a_(a),
          b_(b),
          missing_(s.given().missing_file, s.out()),
          extra_(s.given().extra_file, s.out()),
          differ_(s.given().differ_file, s.out()) {}

    /// Makes the files. \returns what is wrong with one of them.
    std::string open() {
        for (auto* const file : {&missing_, &extra_, &differ_}) {
            if (auto problem = file->open(); !problem.empty()) return problem;
        }
        return {};
    }

    awaitable<exit_code> run() {
        std::array<place_listing, 2> listings{place_listing{.place = &a_}, place_listing{.place = &b_}};
        for (auto& l : listings) {
            if (auto ready = co_await l.place->connect(deadline::in(limits::keepctl_request_timeout)); !ready)
                co_return end(ready.error() == errc::bad_request ? exit_code::usage : exit_code::unreachable,
                              fmt::format("{}: {}", l.place->name(), ready.error().text));
        }
        if (auto same = same_storage(*session_.given().source, a_, *session_.given().target, b_); !same.empty())
            co_return end(exit_code::usage, same);
        auto digits = co_await estimate_digits(listings);
        if (!digits) co_return end(exit_code::unreachable, digits.error().text);
        std::size_t incomplete = 0;
        for (std::size_t shard = 0; shard < shard_count(*digits); ++shard) {
            const auto prefix = narrowed(shard_prefix(*digits, shard), session_.given().prefix);
            if (!prefix) continue;
            auto listed = co_await list_places(listings, *prefix);
            if (listed) {
                compare(listings[0].entries, listings[1].entries);
            } else {
                if (listed.error() == errc::cancelled) co_return end(exit_code::interrupted, {});
                ++incomplete;
                session_.out().error(fmt::format("blocks {}... could not be listed: {}", *prefix, listed.error().text));
            }
            if (session_.out().broken()) co_return exit_code::not_finished;
        }
        for (const auto* const file : {&missing_, &extra_, &differ_}) {
            if (!file->problem().empty()) co_return end(exit_code::not_finished, file->problem());
        }
        auto code = missing_.count() + extra_.count() + differ_.count() == 0 ? exit_code::done : exit_code::some_failed;
        if (incomplete > 0) code = worse(code, exit_code::not_finished);
        co_return end(code, {});
    }

  private:
    void compare(std::span<const entry> a, std::span<const entry> b) {
        while (!a.empty() || !b.empty()) {
            const bool in_a = !a.empty() && (b.empty() || a.front().block <= b.front().block);
            const bool in_b = !b.empty() && (a.empty() || b.front().block <= a.front().block);
            const auto left = in_a ? first_block(a) : std::span<const entry>();
            const auto right = in_b ? first_block(b) : std::span<const entry>();
            a = a.subspan(left.size());
            b = b.subspan(right.size());
            const auto& any = in_a ? left.front() : right.front();
            const block_id block{any.block, any.size};
            if (!in_b)
                missing_.add(block);
            else if (!in_a)
                extra_.add(block);
            else if (std::ranges::any_of(left, [&](const entry& e) { return e.size != right.front().size; }) ||
                     std::ranges::any_of(right, [&](const entry& e) { return e.size != left.front().size; }))
                differ_.add(block);
            else
                ++same_;
        }
    }

    exit_code end(exit_code code, std::string_view problem) {
        auto& out = session_.out();
        if (!problem.empty()) {
            out.error(problem);
            out.end(code);
            return code;
        }
        const auto n = [](std::uint64_t value) { return cell(static_cast<std::int64_t>(value)); };
        const auto to_stdout = [](const std::string& file) { return file == "-"; };
        const auto& given = session_.given();
        if (!to_stdout(given.missing_file) && !to_stdout(given.extra_file) && !to_stdout(given.differ_file)) {
            out.say(fmt::format("{} blocks are the same, {} are missing in {}, {} are missing in {}, {} differ in size",
                                same_, missing_.count(), b_.name(), extra_.count(), a_.name(), differ_.count()));
        }
        out.end(code, {{"same", n(same_)},
                       {"missing", n(missing_.count())},
                       {"extra", n(extra_.count())},
                       {"differ", n(differ_.count())}});
        return code;
    }

    session& session_;
    block_place& a_;
    block_place& b_;
    name_file missing_;  // In b.
    name_file extra_;    // In b only.
    name_file differ_;
    std::uint64_t same_ = 0;
};

}  // namespace

exit_code run_compare(session& s) {
    auto a = s.open(*s.given().source, {});
    if (!a) return end_with(s, a.error());
    auto b = s.open(*s.given().target, {});
    if (!b) return end_with(s, b.error());
    comparison all(s, **a, **b);
    if (auto problem = all.open(); !problem.empty()) return end_with(s, {exit_code::usage, std::move(problem)});
    return s.run(all.run());
}

}  // namespace keepstore::keepctl
