#include "keepctl/cluster/listing.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/left_out.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace keepstore::keepctl {
namespace {

class block_lister {
  public:
    block_lister(session& s, block_place& from) : session_(s), from_(from) {}

    awaitable<outcome<exit_code>> run() {
        if (auto ready = co_await from_.connect(deadline::in(limits::keepctl_request_timeout)); !ready) {
            const bool wrong = ready.error() == errc::bad_request;
            co_return refuse(wrong ? exit_code::usage : exit_code::unreachable, ready.error());
        }
        std::array<place_listing, 1> listings{place_listing{.place = &from_}};
        auto digits = co_await estimate_digits(listings);
        if (!digits) co_return refuse(not_listed(digits.error(), true), digits.error());
        const std::string& wanted = session_.given().prefix;
        for (std::size_t shard = 0; shard < shard_count(*digits); ++shard) {
            const auto prefix = narrowed(shard_prefix(*digits, shard), wanted);
            if (!prefix) continue;
            auto listed = co_await list_places(listings, *prefix);
            if (!listed) co_return refuse(not_listed(listed.error(), shard == 0), listed.error());
            left_out_ += listings[0].notes;
            show(listings[0].entries);
        }
        auto& out = session_.out();
        out.flush();
        out.note(fmt::format("{}, {}", count_of(blocks_, "block"), count_of(copies_, "copy")));
        if (conflicts_ > 0)
            out.note(fmt::format("{} of which the copies have different sizes: head and get find the good ones",
                                 count_of(conflicts_, "block")));
        note_left_out(out, left_out_);
        record summary{{"blocks", blocks_}, {"copies", copies_}, {"size_conflicts", conflicts_}};
        add_left_out(summary, left_out_);
        co_return out.end(exit_code::done, std::move(summary));
    }

  private:
    void show(std::span<const entry> entries) {
        while (!entries.empty()) {
            const auto copies = take_block(entries);
            ++blocks_;
            copies_ += copies.size();
            const auto [oldest, newest] = std::ranges::minmax(copies, {}, &entry::mtime);
            const bool conflict =
                std::ranges::any_of(copies, [&](const entry& e) { return e.size != copies.front().size; });
            if (conflict) ++conflicts_;
            record row{{"block", block_id{copies.front().block, copies.front().size}.text()},
                       {"copies", copies.size()}};
            if (session_.given().details) {
                std::vector<std::string> mounts;
                for (const auto& e : copies) mounts.push_back(from_.mounts()[e.mount].uuid);
                row.emplace_back("mounts", std::move(mounts));
                row.emplace_back("oldest", time_text(oldest.mtime));
                row.emplace_back("newest", time_text(newest.mtime));
            }
            row.emplace_back("note", conflict ? cell("sizes differ") : cell());
            session_.out().add("block", std::move(row));
        }
    }

    session& session_;
    block_place& from_;
    std::uint64_t blocks_ = 0;
    std::uint64_t copies_ = 0;
    std::uint64_t conflicts_ = 0;
    listing_notes left_out_;
};

}  // namespace

outcome<exit_code> run_ls(session& s) {
    const place what = s.given().at.value_or(place{.text = "cluster", .where = cluster_place{}});
    KS_TRY(const auto from, s.open(what, {}));
    block_lister lister(s, *from);
    return s.run(lister.run());
}

}  // namespace keepstore::keepctl
