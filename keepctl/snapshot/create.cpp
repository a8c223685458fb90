#include "keepctl/snapshot/create.hpp"

#include "base/cancellable.hpp"
#include "base/hex.hpp"
#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/snapshot/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

std::chrono::sys_seconds our_time() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

/// A shard as it is written, and what the metadata say about it.
struct made_object {
    std::shared_ptr<inventory> object;
    std::string sha256;
    snapshot_totals totals;
};

}  // namespace

repository::edit_function listing_edit(repository& in, snapshot_document document, std::string sha256) {
    return [&in, snapshot = std::move(document),
            sha256 = std::move(sha256)](latest_document& listed) -> awaitable<outcome<bool>> {
        if (listed.find(snapshot.id)) co_return false;
        if (listed.has_removed(snapshot.id))
            co_return refuse(
                exit_code::some_failed,
                fmt::format("snapshot {} is being removed by a prune, and was not listed", snapshot.id.text()));
        if (listed.snapshots.size() >= limits::snapshots_max)
            co_return refuse(exit_code::refused,
                             fmt::format("{} snapshots are listed, and there cannot be more; run keepctl snapshot "
                                         "prune, then: keepctl snapshot adopt {} {}",
                                         limits::snapshots_max, in.store().name(), snapshot.id.text()));
        // After the read of latest.json: objects that a prune has deleted since would be missing now, and one that
        // begins to delete changes latest.json first.
        const auto damage = co_await in.find_damage(snapshot);
        if (!damage) co_return refuse(damage.error(), "looking for the objects of the snapshot");
        if (*damage)
            co_return refuse(exit_code::some_failed, fmt::format("snapshot {} is not whole, and was not listed: {}",
                                                                 snapshot.id.text(), **damage));
        ++listed.sequence;
        listed.snapshots.insert(listed.snapshots.begin(), {.id = snapshot.id,
                                                           .sequence = listed.sequence,
                                                           .listed_at = in.now(),
                                                           .metadata_sha256 = sha256,
                                                           .blocks = snapshot.totals.blocks,
                                                           .replicas = snapshot.totals.replicas,
                                                           .bytes = snapshot.totals.bytes});
        co_return true;
    };
}

snapshot_creation::snapshot_creation(repository& into, block_place& from, create_options options)
    : repository_(into),
      place_(from),
      options_(std::move(options)),
      document_{.id = snapshot_id::make(our_time(), random_digits()),
                .repository = into.identity().repository,
                .cluster = into.identity().cluster,
                .scope = options_.scope,
                .started_at = our_time(),
                .completed_at = {},
                .digits = 0,
                .mounts = {},
                .objects = {},
                .totals = {},
                .tool = "keepctl " KEEPSTORE_VERSION} {
    for (const auto& m : from.mounts()) document_.mounts.push_back(to_snapshot_mount(m));
}

awaitable<outcome<listed_snapshot>> snapshot_creation::run() {
    auto written = co_await write_all();
    if (written && co_await is_cancelled()) written = refuse(exit_code::interrupted, "interrupted");
    // From here on all has its own limit: half a swap, or half a cleaning, would leave the operator with questions.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (!written) {
        if (wrote_) co_await remove_objects();
        co_return std::unexpected(std::move(written.error()));
    }
    bool attempted = false;
    auto listed = co_await repository_.change(listing_edit(repository_, document_, metadata_sha256_), attempted);
    if (listed) co_return *listed->find(document_.id);
    if (attempted) {
        listed.error().text += fmt::format("; its data were left in place (keepctl snapshot adopt {} {} lists it)",
                                           repository_.store().name(), document_.id.text());
    } else if (listed.error().code != exit_code::refused) {
        co_await remove_objects();
    }
    co_return std::unexpected(std::move(listed.error()));
}

awaitable<outcome<void>> snapshot_creation::write_all() {
    KS_CO_TRY(auto listed, co_await repository_.latest());
    if (listed.snapshots.size() >= limits::snapshots_max)
        co_return refuse(exit_code::refused, fmt::format("{} snapshots are listed, and there cannot be more; run "
                                                         "keepctl snapshot prune",
                                                         limits::snapshots_max));
    KS_CO_TRY(auto last, co_await find_last(listed));
    if (last) {
        KS_CO_CHECK(compare_mounts(*last));
        KS_CO_CHECK(co_await begin_shrink_check(*last));
    }
    KS_CO_CHECK(co_await choose_digits());
    KS_CO_CHECK(co_await write_shards());
    KS_CO_CHECK(end_shrink_check());
    document_.totals = progress_.totals;
    if (document_.totals.replicas == 0 && !options_.allow_empty_source)
        co_return refuse(exit_code::refused,
                         fmt::format("{} lists no block at all, which is what an unmounted disk looks like; "
                                     "--allow-empty-source if that is right",
                                     place_.name()));
    co_return co_await write_metadata();
}

awaitable<outcome<void>> snapshot_creation::write_shards() {
    progress_.shards = shard_count(document_.digits);
    document_.objects.resize(progress_.shards);
    const auto workers = std::min(limits::create_shards_max, progress_.shards);
    if (co_await run_workers(workers, [this] { return work_off_shards(); }))
        co_return refuse(exit_code::interrupted, "interrupted");
    if (failed_) co_return std::unexpected(std::move(*failed_));
    co_return outcome<void>();
}

void snapshot_creation::fail_with(refusal why) {
    if (!failed_) failed_ = std::move(why);
}

awaitable<void> snapshot_creation::work_off_shards() {
    place_listing listing{.place = &place_};
    while (true) {
        auto turn = co_await listing_turn_.acquire(deadline::never());
        if (!turn || failed_ || next_shard_ == progress_.shards) co_return;
        const auto shard = next_shard_++;
        if (std::chrono::steady_clock::now() - began_ > options_.time_max) {
            fail_with({exit_code::not_finished, "--max-duration has passed; nothing was listed"});
            co_return;
        }
        if (const auto listed = co_await list_places({&listing, 1}, shard_prefix(document_.digits, shard)); !listed) {
            fail_with({listed.error() == errc::cancelled ? exit_code::interrupted : exit_code::not_finished,
                       fmt::format("blocks {}... could not be listed: {}; nothing was listed",
                                   shard_prefix(document_.digits, shard), listed.error().text)});
            co_return;
        }
        progress_.left_out += listing.notes;
        if (shrinking_) shrinking_->add_now(listing.entries);
        *turn = {};
        listing.entries = co_await write_shard(shard, std::move(listing.entries));
        if (failed_) co_return;
        ++progress_.shards_done;
    }
}

// The newest snapshot of the same place that can be read.
awaitable<outcome<std::optional<snapshot_document>>> snapshot_creation::find_last(const latest_document& listed) const {
    for (const auto& candidate : listed.snapshots) {
        auto last = co_await repository_.metadata(candidate);
        // A damaged snapshot is no reason not to make a new one.
        if (!last)
            options_.note(last.error().text);
        else if (last->scope == options_.scope)
            co_return std::move(*last);
    }
    co_return std::nullopt;
}

// A server that is gone fails the connection to the place; a mount that is gone shows only against what there was.
outcome<void> snapshot_creation::compare_mounts(const snapshot_document& last) const {
    for (const auto& m : last.mounts) {
        if (options_.allow_missing.contains(m.uuid)) continue;
        const auto now = std::ranges::find(document_.mounts, m.uuid, &snapshot_mount::uuid);
        if (now == document_.mounts.end())
            return refuse(exit_code::not_finished,
                          fmt::format("mount {} of {} is in snapshot {}, and not there now; --allow-missing {} if it "
                                      "was taken away",
                                      m.uuid, m.server, last.id.text(), m.uuid));
        const bool same = std::ranges::any_of(document_.mounts, [&](const snapshot_mount& other) {
            return other.uuid == m.uuid && other.device_id == m.device_id;
        });
        if (!same)
            return refuse(exit_code::not_finished,
                          fmt::format("mount {} is another device than in snapshot {} ({}, it was {}); "
                                      "--allow-missing {} if that is right",
                                      m.uuid, last.id.text(), now->device_id, m.device_id, m.uuid));
    }
    return {};
}

awaitable<outcome<void>> snapshot_creation::begin_shrink_check(const snapshot_document& last) {
    shrinking_.emplace(last, document_.mounts);
    for (const auto shard : shrinking_->sample()) {
        const auto before = co_await repository_.read_inventory(last, shard);
        if (!before && before.error() == errc::cancelled) co_return refuse(exit_code::interrupted, "interrupted");
        if (!before) {
            options_.note(fmt::format("snapshot {} cannot be compared with: {}", last.id.text(), before.error().text));
            shrinking_.reset();
            break;
        }
        shrinking_->add_before((*before)->entries());
    }
    co_return outcome<void>();
}

outcome<void> snapshot_creation::end_shrink_check() const {
    if (!shrinking_) return {};
    const auto found = shrinking_->find(options_.allow_missing);
    if (!found) return {};
    return refuse(exit_code::not_finished,
                  fmt::format("mount {} lists {} blocks where it had {} in the last snapshot: is the disk mounted? "
                              "--allow-missing {} if that is right",
                              found->uuid, found->now, found->before, found->uuid));
}

awaitable<outcome<void>> snapshot_creation::choose_digits() {
    if (options_.digits) {
        document_.digits = *options_.digits;
        co_return outcome<void>();
    }
    place_listing listing{.place = &place_};
    auto entries = co_await estimate_entries({&listing, 1});
    if (!entries)
        co_return refuse(entries.error() == errc::cancelled ? exit_code::interrupted : exit_code::not_finished,
                         fmt::format("{}: {}; nothing was listed", place_.name(), entries.error().text));
    document_.digits = shard_digits(*entries, limits::inventory_entries_wanted);
    co_return outcome<void>();
}

awaitable<std::vector<entry>> snapshot_creation::write_shard(std::size_t shard, std::vector<entry> entries) {
    const auto prefix = shard_prefix(document_.digits, shard);
    if (inventory_bytes(entries.size()) > limits::inventory_bytes_max) {
        fail_with({exit_code::not_finished, fmt::format("{} entries begin with {}: too many for one object; give "
                                                        "--digits {}",
                                                        entries.size(), prefix, document_.digits + 1)});
        co_return std::vector<entry>();
    }
    // The call owns what it works with: when it is cancelled it may go on for a moment.
    auto made = co_await digests_.run(
        [id = document_.id, prefix, sorted = std::move(entries)]() mutable -> result<made_object> {
            made_object out;
            add_totals(out.totals, sorted);
            out.object = std::make_shared<inventory>(id, prefix, std::move(sorted));
            out.sha256 = to_hex(sha256_of(*out.object));
            return out;
        },
        deadline::in(limits::inventory_transfer_timeout));
    if (!made) {
        fail_with(refuse(made.error(), "computing digests").error());
        co_return std::vector<entry>();
    }
    auto object = std::move(made->object);
    progress_.totals += made->totals;
    document_.objects[shard] = {.name = inventory_name(prefix),
                                .bytes = object->size(),
                                .sha256 = std::move(made->sha256),
                                .records = object->entries().size()};
    wrote_ = true;
    auto written = co_await repository_.store().write(document_.id.folder() + document_.objects[shard].name, object,
                                                      deadline::in(limits::inventory_transfer_timeout));
    if (!written) {
        auto why = refuse(written.error(), repository_.store().name()).error();
        if (why.code == exit_code::unreachable) why.code = exit_code::not_finished;
        fail_with(std::move(why));
    }
    if (object.use_count() != 1) co_return std::vector<entry>();
    co_return std::move(*object).release();
}

awaitable<outcome<void>> snapshot_creation::write_metadata() {
    document_.completed_at = std::max(document_.started_at, our_time());
    std::string text = encode(document_);
    metadata_sha256_ = to_hex(sha256(text));
    auto written = co_await repository_.store().write(document_.id.folder() + std::string(metadata_name),
                                                      std::make_shared<text_bytes>(std::move(text)),
                                                      deadline::in(limits::inventory_transfer_timeout));
    if (!written) co_return refuse(written.error(), repository_.store().name());
    co_return outcome<void>();
}

awaitable<void> snapshot_creation::remove_objects() {
    const auto until = deadline::in(limits::create_cleanup_timeout);
    auto left = co_await repository_.store().list(document_.id.folder(), until);
    bool clean = left.has_value();
    if (left) {
        for (const auto& object : *left)
            clean = (co_await repository_.store().remove(object.key, until)).has_value() && clean;
    }
    if (!clean) options_.note(fmt::format("objects of {} are left; a later prune removes them", document_.id.text()));
}

}  // namespace keepstore::keepctl
