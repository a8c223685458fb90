#include "keepctl/clone/segment_merge.hpp"

#include "keepctl/cluster/all_at_once.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace keepstore::keepctl {

segment_merge::segment_merge(const inputs& from, const std::string& digits)
    : source_markers_(from.source.has_markers), target_markers_(from.target.has_markers) {
    const auto begin = [&](position at, const clone_bucket& of, object_kind kind, const object_cursor::lister& list) {
        cursors_[at].emplace(of, kind, digits, list);
    };
    begin(block, from.source, object_kind::block, from.list_source);
    if (from.source.has_markers) begin(marker, from.source, object_kind::marker, from.list_source);
    if (from.trash) begin(trash, from.source, object_kind::trash, from.list_source);
    if (!from.list_target) return;
    begin(target_block, from.target, object_kind::block, from.list_target);
    if (from.target.has_markers) begin(target_marker, from.target, object_kind::marker, from.list_target);
    if (from.trash) begin(target_trash, from.target, object_kind::trash, from.list_target);
}

awaitable<result<void>> segment_merge::load(deadline until) {
    std::vector<object_cursor*> waiting;
    for (auto& cursor : cursors_) {
        if (cursor && cursor->needs_page()) waiting.push_back(&*cursor);
    }
    KS_CO_TRY(const auto ends,
              co_await all_at_once(waiting.size(), [&](std::size_t i) { return waiting[i]->load(until); }));
    for (const auto& end : ends) KS_CO_CHECK(end);
    co_return success();
}

std::optional<md5_digest> segment_merge::first_of_source() const {
    std::optional<md5_digest> first;
    for (const auto at : {block, trash}) {
        const auto* const object = cursors_[at] ? cursors_[at]->current() : nullptr;
        if (object && (!first || object->name < *first)) first = object->name;
    }
    return first;
}

bool segment_merge::has(position which, const md5_digest& name) const {
    const auto* const object = cursors_[which] ? cursors_[which]->current() : nullptr;
    return object && object->name == name;
}

awaitable<result<std::optional<merged_block>>> segment_merge::next(deadline until) {
    KS_CO_CHECK(co_await load(until));
    const auto name = first_of_source();
    if (!name) co_return std::nullopt;
    // The others follow: what is before this name belongs to no block of the source.
    while (true) {
        bool wants_pages = false;
        for (auto& cursor : cursors_) {
            while (cursor && cursor->current() && cursor->current()->name < *name) cursor->advance();
            wants_pages = wants_pages || (cursor && cursor->needs_page());
        }
        if (!wants_pages) break;
        KS_CO_CHECK(co_await load(until));
    }
    merged_block out{.name = *name};
    const auto take = [&](position at) -> std::optional<object_cursor::object> {
        if (!has(at, *name)) return std::nullopt;
        auto object = *cursors_[at]->current();
        cursors_[at]->advance();
        return object;
    };
    out.source = {.block = take(block), .trash = take(trash), .marker = take(marker).has_value()};
    out.target = {.block = take(target_block), .trash = take(target_trash), .marker = take(target_marker).has_value()};
    if (!source_markers_) out.source.marker = out.source.block.has_value();
    if (!target_markers_) out.target.marker = out.target.block.has_value();
    co_return out;
}

std::uint64_t segment_merge::foreign() const noexcept {
    std::uint64_t out = 0;
    for (const auto at : {block, marker, trash}) out += cursors_[at] ? cursors_[at]->foreign() : 0;
    return out;
}

}  // namespace keepstore::keepctl
