#include "keepctl/snapshot/check.hpp"

#include "base/hex.hpp"
#include "base/sha256.hpp"
#include "keepctl/snapshot/limits.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::keepctl {
namespace {

/// Reads all objects. \returns what is damaged.
awaitable<outcome<std::optional<std::string>>> read_all(repository& in, const snapshot_document& of) {
    snapshot_totals found;
    for (std::size_t shard = 0; shard < of.objects.size(); ++shard) {
        const auto buffer = co_await in.read_inventory(of, shard);
        if (!buffer && buffer.error() == errc::checksum_mismatch) co_return buffer.error().text;
        if (!buffer) co_return refuse(buffer.error(), of.objects[shard].name);
        add_totals(found, (*buffer)->entries());
    }
    if (found != of.totals) co_return "snapshot.json: its sums are not those of its objects";
    co_return std::nullopt;
}

}  // namespace

void add_totals(snapshot_totals& totals, std::span<const entry> sorted) {
    while (!sorted.empty()) {
        const auto copies = take_block(sorted);
        ++totals.blocks;
        totals.bytes += copies.front().size;
        totals.replicas += copies.size();
        for (const auto& copy : copies) totals.stored_bytes += copy.size;
    }
}

awaitable<outcome<check_result>> check_snapshot(repository& in, const listed_snapshot& which, bool read) {
    std::optional<std::string> damage;
    auto document = co_await in.metadata(which);
    if (!document && document.error().code != exit_code::some_failed)
        co_return std::unexpected(std::move(document.error()));
    if (!document) {
        damage = std::move(document.error().text);
    } else {
        auto missing = co_await in.find_damage(*document);
        if (!missing) co_return refuse(missing.error(), which.id.text());
        damage = std::move(*missing);
        if (!damage && read) {
            KS_CO_TRY(damage, co_await read_all(in, *document));
        }
        if (!damage && (document->totals.blocks != which.blocks || document->totals.replicas != which.replicas ||
                        document->totals.bytes != which.bytes))
            damage = "latest.json: its sums are not those of snapshot.json";
    }
    if (!damage) co_return check_result{};
    KS_CO_TRY(auto now, co_await in.latest());
    co_return check_result{.damage = std::move(damage), .pruned = now.find(which.id) == nullptr};
}

awaitable<outcome<unlisted_snapshot>> read_unlisted(repository& in, snapshot_id id) {
    const auto until = deadline::in(limits::repository_request_timeout);
    auto found = co_await in.store().read(id.folder() + std::string(metadata_name), limits::metadata_bytes_max, until);
    const auto refused = [&](std::string_view why) {
        return refuse(exit_code::some_failed, fmt::format("snapshot {}: {}", id.text(), why));
    };
    if (!found && found.error() == errc::not_found)
        co_return refused("there is no snapshot.json: it was not completed, or was pruned");
    if (!found) co_return refuse(found.error(), id.text());
    auto document = decode_snapshot(found->text);
    if (!document) co_return refused(document.error().text);
    if (document->id != id || document->repository != in.identity().repository)
        co_return refused("snapshot.json is of another snapshot");
    auto damage = co_await read_all(in, *document);
    if (!damage) co_return std::unexpected(std::move(damage.error()));
    if (*damage) co_return refused(**damage);
    co_return unlisted_snapshot{.document = std::move(*document), .sha256 = to_hex(sha256(found->text))};
}

awaitable<std::optional<snapshot_id>> newest_whole(repository& in, const latest_document& listed,
                                                   std::optional<snapshot_id> other, bool read) {
    for (const auto& candidate : listed.snapshots) {
        if (other && candidate.id == *other) continue;
        const auto checked = co_await check_snapshot(in, candidate, read);
        if (checked && !checked->damage) co_return candidate.id;
    }
    co_return std::nullopt;
}

}  // namespace keepstore::keepctl
