#include "store/lists/pull_worker.hpp"

#include "base/cancellable.hpp"
#include "base/join.hpp"
#include "base/log.hpp"
#include "protocol/proven_stream.hpp"
#include "protocol/random_token.hpp"
#include "protocol/retry_schedule.hpp"
#include "store/limits.hpp"
#include "store/lists/run_worker.hpp"
#include "store/verify/verify_copy.hpp"

#include <fmt/format.h>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace keepstore::store {
pull_worker::pull_worker(store_context& store, const net::client& client, pull_options options)
    : store_(store),
      client_(client),
      options_(std::move(options)),
      token_(protocol::random_token()),
      pool_(std::max(1u, options_.workers) * limits::pull_memory_bytes, [&store] { store.engine.flush(); }) {}

awaitable<void> pull_worker::run(work_queue<protocol::pull_item>& queue) {
    return run_worker(
        queue, [this](protocol::pull_item item) { return execute(std::move(item)); },
        [this](const std::exception& e) {
            counters_.failed.add();
            log::error(std::string("pull list: an item failed: ") + e.what());
        });
}

awaitable<void> pull_worker::execute(protocol::pull_item item) {
    const auto fail_item = [this](std::string_view why, std::initializer_list<log::field> fields) {
        log::warning(why, fields);
        counters_.failed.add();
    };
    const auto block = protocol::locator::parse(item.locator);
    if (!block) co_return fail_item("ignoring pull request for invalid locator", {});
    const std::string name = block->bare();
    const mount* where = nullptr;
    if (!item.mount_uuid.empty()) {
        where = store_.mounts.find(item.mount_uuid);
        if (!where)
            co_return fail_item("ignoring pull list entry for nonexistent mount " + item.mount_uuid,
                                {{"locator", name}});
        if (!where->allow_write)
            co_return fail_item("ignoring pull list entry for readonly mount " + item.mount_uuid, {{"locator", name}});
    } else {
        const auto writable = store_.mounts.in_write_order(block->hash);
        if (writable.empty())
            co_return fail_item("ignoring pull list entry: there is no writable mount", {{"locator", name}});
        where = writable.front();
    }

    const deadline item_until = deadline::in(options_.item_timeout);
    auto memory = co_await pool_.take(limits::pull_lease_chunks, item_until);
    if (!memory) {
        if (memory.error() == errc::cancelled) co_return;
        co_return fail_item("pull list: " + memory.error().text, {{"locator", name}});
    }
    const bool present = co_await is_present(*where, *block, *memory);
    if (co_await is_cancelled()) co_return;
    if (present) {
        counters_.present.add();
        log::info("block to be pulled is here already", {{"locator", name}, {"mount", where->uuid}});
        co_return;
    }

    const auto sources = sources_of(item, *block);
    protocol::retry_schedule schedule(sources.size(), item_until);
    while (true) {
        const auto chosen = co_await schedule.next();
        if (!chosen) break;
        auto failed = co_await fetch(sources[*chosen], *where, *block, *memory);
        if (!failed) {
            log::info("block pulled", {{"locator", name}, {"mount", where->uuid}, {"server", sources[*chosen].name}});
            co_return;
        }
        if (failed->why == errc::cancelled) co_return;
        if (failed->ours)
            co_return fail_item("error writing data to " + where->uuid,
                                {{"locator", name}, {"error", failed->why.text}});
        if (failed->why == errc::checksum_mismatch) counters_.bad_blocks.add();
        schedule.failed(*chosen, std::move(failed->why));
    }
    const error why = schedule.outcome();
    if (why == errc::cancelled) co_return;
    std::vector<std::string_view> names;
    for (const auto& s : sources) names.push_back(s.name);
    fail_item("error pulling data from remote servers (" + join(names, ", ") + ")",
              {{"locator", name}, {"mount", where->uuid}, {"error", why.text}});
}

std::vector<pull_worker::source> pull_worker::sources_of(const protocol::pull_item& item,
                                                         const protocol::locator& block) const {
    std::vector<source> out;
    for (std::size_t i = 0; i < item.servers.size(); ++i) {
        auto parsed = protocol::parse_block_server(item.servers[i]);
        if (!parsed) {
            // The URL is not logged: it may contain secrets.
            log::warning(
                fmt::format("pull list: server {} of an item has no usable URL: {}", i + 1, parsed.error().text),
                {{"locator", block.bare()}});
            continue;
        }
        std::string name = net::to_string(parsed->to);
        if (!options_.hosts.allows(parsed->to)) {
            log::warning("pull list: " + name +
                             " is not among Keepstore.PullHosts and is not asked; add it there if it is "
                             "a keep service",
                         {{"locator", block.bare()}});
            continue;
        }
        out.push_back({.name = std::move(name), .where = std::move(*parsed)});
    }
    return out;
}

// Whether the mount has a good copy, which is touched then: it is wanted here, so it must not be trashed for its age.
// The pulled block replaces a copy that is bad or unreadable.
awaitable<bool> pull_worker::is_present(const mount& m, const protocol::locator& block, pool::chunk_source& memory) {
    const auto until = deadline::in(options_.attempt_timeout);
    auto copy = co_await m.volume->open(block.hash, until);
    if (!copy) co_return false;
    if (block.size && (*copy)->size() != *block.size) co_return false;
    const auto report = co_await verify_copy(memory, store_.engine, **copy, block.hash, 1, until);
    if (report.result != copy_report::outcome::good) {
        if (report.result == copy_report::outcome::bad) {
            store_.counters.bad_copies.add();
            store_.bad_copy_log.report(m.uuid, block.hash, "does not match its MD5; the pull replaces it",
                                       report.offset);
        }
        co_return false;
    }
    const auto touched = co_await m.volume->touch(block.hash, until);
    co_return touched.has_value();
}

awaitable<std::optional<pull_worker::failure>> pull_worker::fetch(const source& from, const mount& to,
                                                                  const protocol::locator& block,
                                                                  pool::chunk_source& memory) {
    const auto until = deadline::in(options_.attempt_timeout);
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    protocol::block_fetch what{.locator = store_.signer.sign(block.bare(), token_, now),
                               .token = token_,
                               .request_id = {},
                               .size = block.size,
                               .timing = options_.timing};
    auto incoming = co_await protocol::open_block(client_, from.where, std::move(what), until);
    if (!incoming) co_return failure{.why = std::move(incoming.error()), .ours = false};
    co_return co_await store(std::move(*incoming), to, block, memory, until);
}

awaitable<std::optional<pull_worker::failure>> pull_worker::store(protocol::incoming_block incoming, const mount& to,
                                                                  const protocol::locator& block,
                                                                  pool::chunk_source& memory, deadline until) {
    const auto ours = [](error why) { return failure{.why = std::move(why), .ours = true}; };

    protocol::incoming_source source(std::move(incoming), {options_.rate_bytes_min, options_.rate_window});
    auto writer = co_await to.volume->create(block.hash, source.size(), until);
    if (!writer) co_return ours(std::move(writer.error()));
    (*writer)->set_queue_bytes(limits::pull_queue_bytes);
    protocol::proven_stream bytes(source, block.hash, store_.engine, memory, {.queue_bytes = limits::pull_queue_bytes});
    while (true) {
        auto piece = co_await bytes.next(until);
        if (!piece) {
            if (!bytes.source_failed()) co_return ours(std::move(piece.error()));
            co_return failure{.why = std::move(piece.error()), .ours = false};
        }
        if (piece->size() == 0) break;
        if (auto appended = co_await (*writer)->append(std::move(*piece), until); !appended)
            co_return ours(std::move(appended.error()));
    }
    std::optional<std::pair<std::string, std::vector<std::byte>>> attribute;
    if (auto points = bytes.waypoints()) attribute.emplace(waypoints_attribute, std::move(*points));
    if (auto committed = co_await (*writer)->commit(std::move(attribute), until); !committed)
        co_return ours(std::move(committed.error()));
    store_.bad_copy_log.forget(to.uuid, block.hash);
    counters_.pulled.add();
    counters_.bytes.add(source.size());
    co_return std::nullopt;
}

}  // namespace keepstore::store
