#include "keepctl/cluster/listing.hpp"
#include "keepctl/cluster/merge.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/commands/block_check.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/left_out.hpp"
#include "keepctl/commands/name_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

class comparison {
  public:
    comparison(session& s, block_place& a, block_place& b)
        : session_(s),
          a_(a),
          b_(b),
          missing_(s.given().missing_file, "missing", s.out()),
          extra_(s.given().extra_file, "extra", s.out()),
          differ_(s.given().differ_file, "differ", s.out()),
          combined_(s.given().combined_file, "combined", s.out()) {
        if (s.given().check_data) check_.emplace(s.given(), std::vector{&a, &b}, s.out());
    }

    /// Makes the files. \returns what is wrong with one of them.
    std::string open() {
        if (std::ranges::count_if(lists_, &name_file::on_stdout) > 1 && session_.out().shape() != output_shape::json)
            return "only one list can go to standard output, unless --json tells them apart";
        for (auto* const list : lists_) {
            if (auto problem = list->open(); !problem.empty()) return problem;
        }
        return {};
    }

    awaitable<outcome<exit_code>> run() {
        for (auto& l : listings_) {
            if (auto ready = co_await l.place->connect(deadline::in(limits::keepctl_request_timeout)); !ready) {
                if (ready.error() == errc::cancelled) co_return exit_code::interrupted;
                co_return refuse(ready.error() == errc::bad_request ? exit_code::usage : exit_code::unreachable,
                                 fmt::format("{}: {}", l.place->name(), ready.error().text));
            }
        }
        if (auto same = same_storage(*session_.given().source, a_, *session_.given().target, b_); !same.empty())
            co_return refuse(exit_code::usage, std::move(same));
        const auto differences = co_await differences_of(a_, b_, deadline::in(limits::keepctl_request_timeout));
        for (const auto& what : differences) session_.out().note(what);
        const auto shards = co_await choose_shards();
        if (!shards) co_return refuse(not_listed(shards.error(), true), shards.error());
        std::vector<std::string> incomplete;
        for (const auto& prefix : *shards) {
            if (auto compared = co_await compare_shard(prefix); !compared) {
                if (compared.error() == errc::cancelled) co_return end(exit_code::interrupted);
                if (is_final(compared.error()))
                    co_return refuse(not_listed(compared.error(), shards_done_ == 0), compared.error());
                incomplete.push_back(prefix);
            }
        }
        // A server may be back by now.
        for (const auto& prefix : incomplete) {
            if (auto compared = co_await compare_shard(prefix); !compared) {
                if (compared.error() == errc::cancelled) co_return end(exit_code::interrupted);
                session_.out().error(fmt::format("blocks {}... could not be listed: {}", prefix, compared.error().text),
                                     exit_code::not_finished);
            }
        }
        for (const auto* const list : lists_) {
            if (auto problem = list->problem(); !problem.empty())
                session_.out().error(problem, exit_code::not_finished);
        }
        if (unreadable_ > 0)
            session_.out().error(count_of(unreadable_, "block") + " could not be read", exit_code::not_finished);
        co_return end(missing_.count() + extra_.count() + differ_.count() == 0 ? exit_code::done
                                                                               : exit_code::some_failed);
    }

  private:
    /// The prefixes to be compared, in order.
    awaitable<result<std::vector<std::string>>> choose_shards() {
        const auto& given = session_.given();
        KS_CO_TRY(unsigned digits, co_await estimate_digits(listings_));
        const auto subset = given.subset.value_or(shard_subset{});
        while (shard_count(digits) < subset.of) ++digits;
        std::vector<std::string> out;
        for (std::size_t shard = subset.number - 1; shard < shard_count(digits); shard += subset.of) {
            if (auto prefix = narrowed(shard_prefix(digits, shard), given.prefix)) out.push_back(std::move(*prefix));
        }
        co_return out;
    }

    awaitable<result<void>> compare_shard(std::string prefix) {
        KS_CO_CHECK(co_await list_places(listings_, prefix));
        const auto& [a, b] = listings_;
        left_out_ += a.notes;
        left_out_ += b.notes;
        if (!check_) {
            merge_blocks(a.entries, b.entries, [&](block_id block, difference d) { record_block(block, d); });
        } else {
            std::vector<block_check::item> items;
            merge_blocks(a.entries, b.entries, [&](block_id block, difference d) { items.push_back({block, d}); });
            KS_CO_CHECK(co_await check_->run(items));
            for (const auto& item : items) record_block(item.block, item.state);
        }
        ++shards_done_;
        co_return success();
    }

    void record_block(block_id block, difference d) {
        combined_.add(static_cast<char>(d), block);
        if (d == difference::same)
            ++same_;
        else if (d == difference::unreadable)
            ++unreadable_;
        else
            (d == difference::missing ? missing_ : d == difference::extra ? extra_ : differ_).add(block);
    }

    exit_code end(exit_code code) {
        auto& out = session_.out();
        note_left_out(out, left_out_);
        if (std::ranges::none_of(lists_, &name_file::on_stdout)) {
            out.say(fmt::format("same {}, missing in {} {}, missing in {} {}, different {}", count_of(same_, "block"),
                                b_.name(), count_of(missing_.count(), "block"), a_.name(),
                                count_of(extra_.count(), "block"), count_of(differ_.count(), "block")));
        }
        record fields{{"same", same_},
                      {"missing", missing_.count()},
                      {"extra", extra_.count()},
                      {"differ", differ_.count()},
                      {"unreadable", unreadable_}};
        add_left_out(fields, left_out_);
        if (check_) fields.emplace_back("checked", check_->checked());
        return out.end(code, std::move(fields));
    }

    session& session_;
    block_place& a_;
    block_place& b_;
    std::array<place_listing, 2> listings_{place_listing{.place = &a_}, place_listing{.place = &b_}};
    std::optional<block_check> check_;
    name_file missing_;  // In b.
    name_file extra_;    // In b only.
    name_file differ_;
    name_file combined_;
    const std::array<name_file*, 4> lists_{&missing_, &extra_, &differ_, &combined_};
    std::uint64_t same_ = 0;
    std::uint64_t unreadable_ = 0;
    listing_notes left_out_;
    std::size_t shards_done_ = 0;
};

}  // namespace

outcome<exit_code> run_compare(session& s) {
    const auto& given = s.given();
    if (auto problem = block_check::memory_problem(given); given.check_data && !problem.empty())
        return refuse(exit_code::usage, std::move(problem));
    KS_TRY(const auto a, s.open(*given.source, {}));
    KS_TRY(const auto b, s.open(*given.target, {}));
    comparison all(s, *a, *b);
    if (auto problem = all.open(); !problem.empty()) return refuse(exit_code::usage, std::move(problem));
    return s.run(all.run());
}

}  // namespace keepstore::keepctl
