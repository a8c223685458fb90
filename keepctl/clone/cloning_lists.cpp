// The first half of a clone: from listings to planned blocks.

#include "keepctl/clone/cloning.hpp"
#include "keepctl/clone/survey.hpp"
#include "keepctl/cluster/block_place.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::keepctl {

awaitable<void> cloning::list_segments(bool& others) {
    while (!stopping_) {
        auto taken = co_await board_.take(deadline::in(limits::listing_time_max));
        if (!taken) {
            if (taken.error() != errc::cancelled) give_up(std::move(taken.error()));
            co_return;
        }
        others = others || taken->what == segment_board::next::others;
        if (taken->what != segment_board::next::segment) co_return;
        co_await list_segment(std::move(taken->digits), false);
    }
}

awaitable<void> cloning::list_again() {
    while (!list_again_.empty()) {
        auto digits = std::move(list_again_.back());
        list_again_.pop_back();
        if (stopping_)
            ++incomplete_;
        else
            co_await list_segment(std::move(digits), true);
    }
}

awaitable<void> cloning::list_segment(std::string digits, bool last_try) {
    auto work = std::make_shared<segment_work>();
    work->report.segment = digits;
    work->report.started_at = clone_time_now();
    segment_merge::inputs inputs{.source = source_, .target = target_, .trash = options_.trash};
    inputs.list_source = [this](s3::list_options where, deadline end) {
        return list_page(source_, std::move(where), end);
    };
    if (!options_.target_is_empty) {
        inputs.list_target = [this](s3::list_options where, deadline end) {
            return list_page(target_, std::move(where), end);
        };
    }
    segment_merge merge(inputs, digits);
    while (true) {
        // A time limit for each step: copies hold up the listing.
        auto block = co_await merge.next(deadline::in(limits::listing_time_max));
        if (!block) {
            // Blocks that are queued are copied; the segment has no response.
            if (block.error() != errc::cancelled && !stopping_) {
                if (is_final(block.error()))
                    give_up(std::move(block.error()));
                else if (!last_try)
                    co_return list_again_.push_back(std::move(digits));
                else
                    observer_.warn(fmt::format("blocks {}... could not be listed: {}", digits, block.error().text));
            }
            ++incomplete_;
            board_.give_up(digits);
            co_return;
        }
        if (!*block) break;
        if (!co_await plan(**block, work)) co_return;
    }
    counts_.foreign += merge.foreign();
    work->report.counts.foreign = merge.foreign();
    work->planned = true;
    co_await finish_segment(work);
}

// \returns false when the run is to stop.
awaitable<bool> cloning::plan(const merged_block& block, std::shared_ptr<segment_work> segment) {
    clone_task task{.name = block.name, .source_marker = block.source.marker, .target_marker = block.target.marker};
    const auto with = [&](object_kind kind, const object_cursor::object& object,
                          const std::optional<object_cursor::object>& target) {
        clone_task out = task;
        out.kind = kind;
        out.size = static_cast<std::uint32_t>(object.size);
        out.etag = object.etag;
        out.content_md5 = object.content_md5;
        out.target = target;
        return out;
    };
    if (block.source.block &&
        !co_await plan_one(with(object_kind::block, *block.source.block, block.target.block), segment))
        co_return false;
    if (!block.source.trash) co_return true;
    co_return co_await plan_one(with(object_kind::trash, *block.source.trash, block.target.trash), segment);
}

awaitable<bool> cloning::plan_one(clone_task task, std::shared_ptr<segment_work> segment) {
    if (stopping_) co_return false;
    ++counts_.listed;
    ++segment->report.counts.listed;
    if (copier_.is_present(task)) {
        ++counts_.present;
        ++segment->report.counts.present;
        co_return true;
    }
    if (options_.dry_run) {
        ++counts_.copied;
        counts_.bytes += task.size;
        co_return true;
    }
    ++unfinished_;
    ++segment->pending;
    planned_task planned{std::move(task), segment};
    planned_task copy = planned;
    if (const auto pushed = co_await queue_.push(std::move(planned), deadline::never()); !pushed) {
        co_await finish(std::move(copy), {.end = outcome::cancelled});
        co_return false;
    }
    co_return true;
}

awaitable<result<s3::list_page>> cloning::list_page(const clone_bucket& of, s3::list_options where, deadline until) {
    for (unsigned number = 0;; ++number) {
        if (!co_await listings_.enter()) co_return fail(errc::cancelled);
        auto page = co_await of.list(where, until.within(limits::listing_silence_max));
        leave(listings_);
        const bool hopeless = page || page.error() == errc::cancelled || is_final(page.error());
        if (hopeless || number + 1 == limits::listing_attempts_max) co_return page;
        if (!co_await pause(limits::listing_pauses[number])) co_return fail(errc::cancelled);
    }
}

awaitable<void> cloning::count_others() {
    if (!co_await listings_.enter()) co_return;
    const auto found = co_await count_foreign(source_, deadline::in(limits::listing_time_max));
    leave(listings_);
    if (found)
        counts_.foreign += *found;
    else if (found.error() != errc::cancelled)
        observer_.note(fmt::format("other objects of {} could not be counted: {}", source_.text, found.error().text));
}

}  // namespace keepstore::keepctl
