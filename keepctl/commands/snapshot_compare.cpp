// snapshot diff, find, verify.

#include "base/utc_text.hpp"
#include "keepctl/cluster/listing.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/commands/block_check.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/name_file.hpp"
#include "keepctl/commands/snapshot_context.hpp"
#include "keepctl/snapshot/copies.hpp"
#include "keepctl/snapshot/inventory_cursor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

cell copies_cell(std::span<const entry> block, std::size_t copies) {
    return block.empty() ? cell() : cell(copies);
}

/// Blocks that came and went between two snapshots, and those that have fewer copies.
class difference_report {
  public:
    difference_report(output& out, const snapshot_document& a, const snapshot_document& b)
        : out_(out), devices_a_(number_devices(a.mounts)), devices_b_(number_devices(b.mounts)) {}

    void add(std::span<const entry> a, std::span<const entry> b) {
        while (!a.empty() || !b.empty()) {
            const auto name = first_name(a, b);
            const auto before = take_block(a, name);
            const auto after = take_block(b, name);
            if (before.empty()) {
                show(after, before, "new", came_);
            } else if (after.empty()) {
                show(before, after, "gone", gone_);
            } else {
                const auto size = before.front().size;
                const auto had = copies_of(before, devices_a_, size);
                const auto has = copies_of(after, devices_b_, size);
                if (has == 0)
                    show(before, after, "size_differs", differs_);
                else if (has < had)
                    show(before, after, "fewer_copies", fewer_);
                else
                    ++same_;
            }
        }
    }
    [[nodiscard]] record summary() const {
        return {{"same", same_}, {"new", came_}, {"gone", gone_}, {"fewer_copies", fewer_}, {"size_differs", differs_}};
    }
    [[nodiscard]] std::string text() const {
        return fmt::format("{} new, {} gone, {} with fewer copies, {} with another size, {} the same",
                           count_of(came_, "block"), gone_, fewer_, differs_, same_);
    }

  private:
    void show(std::span<const entry> some, std::span<const entry> other, std::string state, std::uint64_t& count) {
        ++count;
        const bool is_new = state == "new";
        const auto& before = is_new ? other : some;
        const auto& after = is_new ? some : other;
        const auto size = some.front().size;
        out_.add("block", {{"block", block_id{some.front().block, size}.text()},
                           {"state", std::move(state)},
                           {"copies_before", copies_cell(before, copies_of(before, devices_a_, size))},
                           {"copies_after", copies_cell(after, copies_of(after, devices_b_, size))}});
    }

    output& out_;
    const std::vector<std::size_t> devices_a_;
    const std::vector<std::size_t> devices_b_;
    std::uint64_t same_ = 0;
    std::uint64_t came_ = 0;
    std::uint64_t gone_ = 0;
    std::uint64_t fewer_ = 0;
    std::uint64_t differs_ = 0;
};

awaitable<outcome<exit_code>> diff(snapshot_context& c) {
    KS_CO_TRY(auto a, co_await c.whole(c.asked().id));
    KS_CO_TRY(auto b, co_await c.whole(c.asked().other));
    inventory_cursor from_a(c.repo, a);
    inventory_cursor from_b(c.repo, b);
    difference_report report(c.out(), a, b);
    const auto digits = std::max(a.digits, b.digits);
    for (std::size_t shard = 0; shard < shard_count(digits); ++shard) {
        const auto prefix = shard_prefix(digits, shard);
        KS_CO_TRY(const auto left, co_await from_a.entries(prefix));
        KS_CO_TRY(const auto right, co_await from_b.entries(prefix));
        report.add(left, right);
        if (c.out().broken()) co_return refuse(exit_code::not_finished, "standard output is closed");
    }
    c.out().say(report.text());
    c.summary = report.summary();
    co_return exit_code::done;
}

awaitable<outcome<exit_code>> find(snapshot_context& c) {
    const auto name = md5_digest::parse(std::string_view(c.given().blocks.front()).substr(0, 32));
    if (!name) co_return refuse(exit_code::usage, "no hash");
    KS_CO_TRY(auto listed, co_await c.repo.latest());
    std::uint64_t found = 0;
    std::uint64_t damaged = 0;
    for (const auto& one : listed.snapshots) {
        auto document = co_await c.repo.metadata(one);
        outcome<std::span<const entry>> entries = std::span<const entry>();
        std::optional<inventory_cursor> cursor;
        if (document) {
            cursor.emplace(c.repo, *document);
            entries = co_await cursor->entries(name->hex());
        } else {
            entries = std::unexpected(std::move(document.error()));
        }
        if (!entries) {
            if (entries.error().code != exit_code::some_failed) co_return std::unexpected(std::move(entries.error()));
            ++damaged;
            c.out().error(entries.error().text);
            continue;
        }
        std::vector<std::string> mounts;
        for (const auto& e : *entries) mounts.push_back(document->mounts[e.mount].uuid);
        found += mounts.empty() ? 0 : 1;
        c.out().add("snapshot", {{"id", one.id.text()},
                                 {"listed_at", utc_text(one.listed_at)},
                                 {"copies", mounts.size()},
                                 {"size", entries->empty() ? cell() : cell(entries->front().size)},
                                 {"written", entries->empty() ? cell() : cell(time_text(entries->front().mtime))},
                                 {"mounts", std::move(mounts)}});
    }
    c.summary = {{"snapshots", listed.snapshots.size()}, {"found", found}, {"damaged", damaged}};
    co_return found == 0 || damaged > 0 ? exit_code::some_failed : exit_code::done;
}

/// A snapshot against what a place lists now.
class verification {
  public:
    verification(snapshot_context& c, const snapshot_document& of, block_place& place)
        : context_(c),
          document_(of),
          place_(place),
          devices_then_(number_devices(of.mounts)),
          devices_now_(number_devices(place.mounts())),
          new_(c.asked().new_file, "new", c.out()) {
        if (c.given().check_data) check_.emplace(c.given(), std::vector{&place}, c.out());
    }

    awaitable<outcome<exit_code>> run() {
        if (auto problem = new_.open(); !problem.empty()) co_return refuse(exit_code::usage, std::move(problem));
        const auto subset = context_.given().subset.value_or(shard_subset{});
        auto digits = document_.digits;
        while (shard_count(digits) < subset.of) ++digits;
        inventory_cursor cursor(context_.repo, document_);
        place_listing listing{.place = &place_};
        std::uint64_t incomplete = 0;
        for (std::size_t shard = subset.number - 1; shard < shard_count(digits); shard += subset.of) {
            const auto prefix = shard_prefix(digits, shard);
            KS_CO_TRY(const auto then, co_await cursor.entries(prefix));
            if (auto listed = co_await list_places({&listing, 1}, prefix); !listed) {
                if (listed.error() == errc::cancelled) co_return refuse(exit_code::interrupted, "interrupted");
                ++incomplete;
                context_.out().error(fmt::format("blocks {}... could not be listed: {}", prefix, listed.error().text));
                continue;
            }
            if (check_ && !co_await check_data(then, listing.entries))
                co_return refuse(exit_code::interrupted, "interrupted");
            compare(then, listing.entries);
            if (context_.out().broken()) co_return refuse(exit_code::not_finished, "standard output is closed");
        }
        context_.out().say(fmt::format("{} there, {} missing, {} with fewer copies, {} with another size, {}{} new",
                                       count_of(there_, "block"), missing_, fewer_, differs_,
                                       check_ ? fmt::format("{} bad, ", bad_) : "", new_.count()));
        context_.summary = {{"id", document_.id.text()},      {"there", there_},          {"missing", missing_},
                            {"fewer_copies", fewer_},         {"size_differs", differs_}, {"new", new_.count()},
                            {"shards_incomplete", incomplete}};
        if (check_) {
            context_.summary.emplace_back("bad", bad_);
            context_.summary.emplace_back("unreadable", unreadable_);
            context_.summary.emplace_back("checked", check_->checked());
        }
        if (unreadable_ > 0)
            context_.out().error(count_of(unreadable_, "block") + " could not be read", exit_code::not_finished);
        if (!new_.problem().empty()) co_return refuse(exit_code::not_finished, new_.problem());
        if (incomplete + unreadable_ > 0) co_return exit_code::not_finished;
        co_return missing_ + fewer_ + differs_ + bad_ > 0 ? exit_code::some_failed : exit_code::done;
    }

  private:
    // Verifies the blocks of a shard that are there. \returns false when cancelled.
    awaitable<bool> check_data(std::span<const entry> then, std::span<const entry> now) {
        checked_.clear();
        while (!then.empty()) {
            const auto wanted = take_block(then);
            const auto& block = wanted.front();
            if (copies_of(take_block(now, block.block), devices_now_, block.size) > 0)
                checked_.push_back({{block.block, block.size}, difference::same});
        }
        co_return (co_await check_->run(checked_)).has_value();
    }
    // What the verification says of a block that is there; it was given them in this order.
    [[nodiscard]] difference state_of(const md5_digest& name, std::size_t& next) const {
        while (next < checked_.size() && checked_[next].block.name < name) ++next;
        return next < checked_.size() && checked_[next].block.name == name ? checked_[next].state : difference::same;
    }

    void compare(std::span<const entry> then, std::span<const entry> now) {
        std::size_t next = 0;
        while (!then.empty() || !now.empty()) {
            const auto name = first_name(then, now);
            const auto wanted = take_block(then, name);
            const auto found = take_block(now, name);
            if (wanted.empty()) {
                new_.add({name, found.front().size});
                continue;
            }
            const auto size = wanted.front().size;
            const auto had = copies_of(wanted, devices_then_, size);
            const auto has = copies_of(found, devices_now_, size);
            if (found.empty())
                show({name, size}, "missing", had, has, missing_);
            else if (has == 0)
                show({name, size}, "size_differs", had, has, differs_);
            else if (const auto state = state_of(name, next); state != difference::same)
                state == difference::differs ? show({name, size}, "bad", had, has, bad_)
                                             : show({name, size}, "unreadable", had, has, unreadable_);
            else if (has < had)
                show({name, size}, "fewer_copies", had, has, fewer_);
            else
                ++there_;
        }
    }
    void show(block_id block, std::string state, std::size_t had, std::size_t has, std::uint64_t& count) {
        ++count;
        context_.out().add(
            "block", {{"block", block.text()}, {"state", std::move(state)}, {"copies_then", had}, {"copies_now", has}});
    }

    snapshot_context& context_;
    const snapshot_document& document_;
    block_place& place_;
    const std::vector<std::size_t> devices_then_;
    const std::vector<std::size_t> devices_now_;
    name_file new_;
    std::optional<block_check> check_;        // With --data.
    std::vector<block_check::item> checked_;  // Blocks of this shard.
    std::uint64_t there_ = 0;
    std::uint64_t missing_ = 0;
    std::uint64_t fewer_ = 0;
    std::uint64_t differs_ = 0;
    std::uint64_t bad_ = 0;
    std::uint64_t unreadable_ = 0;
};

awaitable<outcome<exit_code>> verify(snapshot_context& c) {
    if (auto problem = block_check::memory_problem(c.given()); c.given().check_data && !problem.empty())
        co_return refuse(exit_code::usage, std::move(problem));
    KS_CO_TRY(auto document, co_await c.whole(c.asked().id));
    KS_CO_TRY(auto place, co_await c.connected(*c.given().at, {}));
    verification all(c, document, *place);
    co_return co_await all.run();
}

}  // namespace

outcome<exit_code> run_snapshot_diff(session& s) {
    return run_on_repository(s, diff);
}
outcome<exit_code> run_snapshot_find(session& s) {
    return run_on_repository(s, find);
}
outcome<exit_code> run_snapshot_verify(session& s) {
    return run_on_repository(s, verify);
}

}  // namespace keepstore::keepctl
