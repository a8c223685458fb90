#include "keepctl/snapshot/repository.hpp"

#include "base/hex.hpp"
#include "base/sha256.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/snapshot/limits.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// Version 4 of RFC 9562.
std::string random_uuid() {
    std::string digits = random_digits() + random_digits();
    digits[12] = '4';
    digits[16] = "89ab"[hex_value(digits[16]) & 3];
    return fmt::format("{}-{}-{}-{}-{}", digits.substr(0, 8), digits.substr(8, 4), digits.substr(12, 4),
                       digits.substr(16, 4), digits.substr(20));
}

std::string one_line(std::string_view what, const error& why) {
    return why.text.empty() ? std::string(what) : fmt::format("{}: {}", what, why.text);
}

}  // namespace

std::unexpected<refusal> refuse(const error& why, std::string_view doing) {
    const auto code = why == errc::cancelled                   ? exit_code::interrupted
                      : why == errc::unsupported               ? exit_code::usage
                      : is_final(why) && why != errc::no_space ? exit_code::unreachable
                                                               : exit_code::not_finished;
    return refuse(code, one_line(doing, why));
}

awaitable<outcome<void>> repository::prove_swap() {
    if (auto proven = co_await store_.prove_swap(request_deadline()); !proven)
        co_return refuse(proven.error(), store_.name());
    co_return outcome<void>();
}

awaitable<outcome<void>> repository::init(std::string cluster) {
    KS_CO_CHECK(co_await prove_swap());
    auto there = co_await store_.list("", request_deadline());
    if (!there) co_return refuse(there.error(), store_.name());
    const auto has = [&](std::string_view key) {
        return std::ranges::find(*there, key, &stored_object::key) != there->end();
    };
    KS_CO_CHECK(co_await set_clock());
    if (has(repository_key)) {
        KS_CO_CHECK(co_await open());
    } else if (!there->empty()) {
        co_return refuse(exit_code::usage,
                         fmt::format("{} is not empty, and no repository; give a place of its own", store_.name()));
    } else {
        identity_ = {.repository = random_uuid(), .cluster = std::move(cluster), .created_at = now()};
        auto made =
            co_await store_.swap(std::string(repository_key), encode(identity_), std::nullopt, request_deadline());
        if (!made) co_return refuse(made.error(), store_.name());
        // Another init may have been first: its repository is as good.
        KS_CO_CHECK(co_await open());
    }
    bool attempted = false;
    auto first = co_await change(
        [](latest_document& latest) -> awaitable<outcome<bool>> { co_return latest.writer.empty(); }, attempted);
    if (!first) co_return std::unexpected(std::move(first.error()));
    if (auto tidy = co_await store_.remove_unfinished(now() - limits::orphan_age, request_deadline()); !tidy)
        note_(one_line("unfinished uploads were not removed", tidy.error()));
    co_return outcome<void>();
}

awaitable<outcome<void>> repository::open() {
    auto found = co_await store_.read(std::string(repository_key), limits::latest_bytes_max, request_deadline());
    if (!found && found.error() == errc::not_found)
        co_return refuse(exit_code::usage,
                         fmt::format("{} is no repository; make one with: keepctl snapshot init", store_.name()));
    if (!found)
        co_return refuse(found.error() == errc::cancelled ? exit_code::interrupted : exit_code::unreachable,
                         one_line(store_.name(), found.error()));
    auto identity = decode_repository(found->text);
    if (!identity)
        co_return refuse(identity.error() == errc::unsupported ? exit_code::usage : exit_code::some_failed,
                         fmt::format("{}: {}: {}", store_.name(), repository_key, identity.error().text));
    identity_ = std::move(*identity);
    co_return outcome<void>();
}

awaitable<outcome<void>> repository::set_clock() {
    auto at = co_await store_.now(request_deadline());
    if (!at) co_return refuse(at.error(), store_.name());
    clock_ = *at;
    clock_read_ = std::chrono::steady_clock::now();
    const auto ours = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    if (const auto ahead = ours - clock_; std::chrono::abs(ahead) > limits::clock_difference_max)
        note_(fmt::format("the clock of this host is {} s {} that of {}, which counts", std::chrono::abs(ahead).count(),
                          ahead.count() > 0 ? "ahead of" : "behind", store_.name()));
    co_return outcome<void>();
}

std::chrono::sys_seconds repository::now() const {
    return clock_ + std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now() - clock_read_);
}

awaitable<outcome<repository::version>> repository::read_latest() {
    const auto where = fmt::format("{}: {}", store_.name(), latest_key);
    auto found = co_await store_.read(std::string(latest_key), limits::latest_bytes_max, request_deadline());
    if (!found && found.error() == errc::not_found) {
        // A repository begins without one. Later its absence does not mean that there are no snapshots.
        auto there =
            had_latest_ ? result<std::vector<stored_object>>() : co_await store_.list("snapshots/", request_deadline());
        if (!there) co_return refuse(there.error(), where);
        if (had_latest_ || !there->empty())
            co_return refuse(exit_code::some_failed,
                             where + " is not there: the repository was damaged or removed; nothing was written");
        version none{.document = {}, .tag = std::nullopt};
        none.document.repository = identity_.repository;
        co_return none;
    }
    if (!found) co_return refuse(found.error(), where);
    auto document = decode_latest(found->text);
    if (!document)
        co_return refuse(document.error() == errc::unsupported ? exit_code::usage : exit_code::some_failed,
                         fmt::format("{}: {}", where, document.error().text));
    if (document->repository != identity_.repository)
        co_return refuse(exit_code::some_failed, where + " is of another repository");
    had_latest_ = true;
    co_return version{.document = std::move(*document), .tag = std::move(found->version)};
}

awaitable<outcome<latest_document>> repository::latest() {
    KS_CO_TRY(auto found, co_await read_latest());
    co_return std::move(found.document);
}

awaitable<bool> repository::pause() const {
    thread_local std::minstd_rand random{std::random_device()()};
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(
        std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, times_.pause_max.count())(random)));
    const auto [failed] = co_await expiry(timer);
    co_return !failed;
}

awaitable<outcome<latest_document>> repository::change(edit_function edit, bool& attempted) {
    std::optional<std::chrono::steady_clock::time_point> unknown_since;
    for (unsigned lost = 0; lost < limits::swap_attempts_max;) {
        auto before = co_await read_latest();
        if (!before) {
            // While it is not known whether the swap took effect, a service that fails is asked again.
            const bool ask_again = unknown_since && before.error().code == exit_code::not_finished &&
                                   std::chrono::steady_clock::now() - *unknown_since < times_.unknown_max;
            if (!ask_again) co_return std::unexpected(std::move(before.error()));
            if (!co_await pause()) co_return refuse(exit_code::interrupted, "interrupted");
            continue;
        }
        latest_document& next = before->document;
        auto wanted = co_await edit(next);
        if (!wanted) co_return std::unexpected(std::move(wanted.error()));
        if (!*wanted) co_return std::move(next);
        next.writer = writer_;
        next.written_at = now();
        std::string text = encode(next);
        if (text.size() > limits::latest_bytes_max)
            co_return refuse(exit_code::refused, "latest.json would become too large; run keepctl snapshot prune");
        attempted = true;
        const auto end =
            co_await store_.swap(std::string(latest_key), std::move(text), before->tag, request_deadline());
        if (!end) co_return refuse(end.error(), fmt::format("{}: {}", store_.name(), latest_key));
        switch (*end) {
            case swap_end::done:
                had_latest_ = true;
                co_return std::move(next);
            case swap_end::lost:
                ++lost;
                unknown_since.reset();
                break;
            case swap_end::unknown: {
                const auto time = std::chrono::steady_clock::now();
                if (!unknown_since) unknown_since = time;
                if (time - *unknown_since >= times_.unknown_max)
                    co_return refuse(exit_code::not_finished,
                                     fmt::format("{}: unknown whether {} was written; all data were left in place",
                                                 store_.name(), latest_key));
                break;
            }
        }
        if (!co_await pause()) co_return refuse(exit_code::interrupted, "interrupted");
    }
    co_return refuse(exit_code::conflict,
                     fmt::format("{}: other writers were faster {} times", store_.name(), limits::swap_attempts_max));
}

awaitable<outcome<snapshot_document>> repository::metadata(const listed_snapshot& which) {
    auto found = co_await store_.read(which.id.folder() + std::string(metadata_name), limits::metadata_bytes_max,
                                      request_deadline());
    if (!found && found.error() != errc::not_found) co_return refuse(found.error(), which.id.text());
    std::string problem = "snapshot.json is missing";
    if (found) {
        auto document = decode_snapshot(found->text);
        if (to_hex(sha256(found->text)) != which.metadata_sha256)
            problem = "snapshot.json is not what latest.json lists: its SHA-256 differs";
        else if (!document)
            co_return refuse(document.error() == errc::unsupported ? exit_code::usage : exit_code::some_failed,
                             fmt::format("snapshot {}: snapshot.json: {}", which.id.text(), document.error().text));
        else if (document->id != which.id || document->repository != identity_.repository)
            problem = "snapshot.json is of another snapshot";
        else
            co_return std::move(*document);
    }
    co_return std::unexpected(co_await explain(which.id, std::move(problem)));
}

awaitable<refusal> repository::explain(const snapshot_id& id, std::string problem) {
    const auto listed = co_await latest();
    if (listed && !listed->find(id))
        co_return refusal{exit_code::some_failed, fmt::format("snapshot {} was pruned", id.text())};
    co_return refusal{exit_code::some_failed, fmt::format("snapshot {} is damaged: {}", id.text(), problem)};
}

awaitable<result<std::shared_ptr<inventory_buffer>>> repository::read_inventory(const snapshot_document& of,
                                                                                std::size_t shard) {
    const auto& object = of.objects.at(shard);
    const auto prefix = shard_prefix(of.digits, shard);
    auto buffer = std::make_shared<inventory_buffer>(object.bytes);
    auto read = co_await store_.read_into(of.id.folder() + object.name, buffer,
                                          deadline::in(limits::inventory_transfer_timeout));
    std::string problem;
    if (!read) {
        if (read.error() != errc::not_found && read.error() != errc::checksum_mismatch)
            co_return std::unexpected(std::move(read.error()));
        problem = read.error() == errc::not_found ? "it is missing" : read.error().text;
    } else if (to_hex(sha256(buffer->bytes())) != object.sha256) {
        problem = "its SHA-256 is not that in snapshot.json";
    } else if (auto records = buffer->decode({.id = of.id, .prefix = prefix, .mounts = of.mounts.size()}); !records) {
        problem = records.error().text;
    } else if (records->size() != object.records) {
        problem = "it has another number of records than snapshot.json says";
    } else {
        co_return buffer;
    }
    co_return fail(errc::checksum_mismatch, fmt::format("{}: {}", object.name, problem));
}

awaitable<outcome<std::shared_ptr<inventory_buffer>>> repository::inventory(const snapshot_document& of,
                                                                            std::size_t shard) {
    auto buffer = co_await read_inventory(of, shard);
    if (buffer) co_return std::move(*buffer);
    if (buffer.error() == errc::checksum_mismatch)
        co_return std::unexpected(co_await explain(of.id, buffer.error().text));
    co_return refuse(buffer.error(), of.objects[shard].name);
}

awaitable<result<std::optional<std::string>>> repository::find_damage(const snapshot_document& of) {
    KS_CO_TRY(const auto there, co_await store_.list(of.id.folder(), request_deadline()));
    std::map<std::string_view, std::uint64_t> sizes;
    for (const auto& object : there) sizes.emplace(object.key, object.bytes);
    for (const auto& object : of.objects) {
        const auto found = sizes.find(of.id.folder() + object.name);
        if (found == sizes.end()) co_return fmt::format("{}: it is missing", object.name);
        if (found->second != object.bytes)
            co_return fmt::format("{}: it has {} bytes instead of {}", object.name, found->second, object.bytes);
    }
    co_return std::nullopt;
}

}  // namespace keepstore::keepctl
