#include "store/verify/verify_copy.hpp"

#include "store/limits.hpp"
#include "store/verify/segment.hpp"
#include "store/verify/stored_bytes.hpp"

#include <deque>
#include <memory>
#include <string>

namespace keepstore::store {
namespace {

// The report of a failed read: a copy that ends early is bad; a cancelled read proves nothing.
copy_report report_failure(copy_report report, std::uint64_t offset, error why) {
    using outcome = copy_report::outcome;
    report.result = why == errc::cancelled           ? outcome::cancelled
                    : why == errc::checksum_mismatch ? outcome::bad
                                                     : outcome::unreadable;
    report.offset = offset;
    report.why = std::move(why);
    return report;
}

awaitable<copy_report> verify_serially(pool::chunk_source& memory, digest::engine& engine, volumes::block_reader& copy,
                                       const md5_digest& name, deadline until, copy_report report) {
    const std::uint64_t suspected = report.offset;
    auto pass = co_await hash_serially(memory, engine, copy, until);
    if (!pass) co_return report_failure(std::move(report), suspected, std::move(pass.error()));
    if (pass->digest != name) {
        co_return report_failure(std::move(report), suspected, error(errc::checksum_mismatch));
    }
    report.offset = 0;
    report.missing_waypoints = fresh_waypoints(copy, *pass);
    co_return report;
}

}  // namespace

std::optional<digest::waypoints> usable_waypoints(std::span<const std::byte> encoded, std::uint64_t length,
                                                  const md5_digest& name) {
    auto points = digest::waypoints::decode(encoded, static_cast<std::size_t>(length), name);
    if (points && points->stride() > limits::segment_bytes_max) return std::nullopt;
    return points;
}

awaitable<std::optional<digest::waypoints>> load_waypoints(volumes::block_reader& copy, const md5_digest& name,
                                                           deadline until, bool* supported) {
    if (!has_waypoints(copy.size())) co_return std::nullopt;
    const auto value = co_await copy.read_attribute(std::string(waypoints_attribute), until);
    if (supported) *supported = value || !(value.error() == errc::unsupported);
    if (!value) co_return std::nullopt;
    co_return usable_waypoints(*value, copy.size(), name);
}

awaitable<bool> store_waypoints(volumes::block_reader& copy, const md5_digest& name, const digest::waypoints& points,
                                deadline until) {
    const auto stored = co_await copy.write_attribute(std::string(waypoints_attribute), points.encode(name), until);
    co_return stored.has_value();
}

std::optional<digest::waypoints> fresh_waypoints(const volumes::block_reader& copy, const serial_pass& pass) {
    if (!has_waypoints(copy.size())) return std::nullopt;
    return digest::waypoints::from_capture(static_cast<std::size_t>(copy.size()), segment::fine_bytes, pass.states);
}

awaitable<result<serial_pass>> hash_serially(pool::chunk_source& memory, digest::engine& engine,
                                             volumes::block_reader& copy, deadline until) {
    digest::md5_stream hash(engine, {.waypoint_stride = segment::fine_bytes});
    for (std::uint64_t offset = 0; offset < copy.size();) {
        KS_CO_TRY(const auto chunk, co_await memory.acquire(until));
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(chunk.size(), copy.size() - offset));
        const mutable_slice into = chunk.subslice(0, want);
        KS_CO_CHECK(co_await read_stored_all(copy, offset, std::span(&into, 1), until));
        hash.set_queue_bytes(memory.queue_bytes());
        KS_CO_CHECK(co_await hash.update(into.freeze(want)));
        offset += want;
    }
    KS_CO_TRY(const auto digest, co_await hash.finish());
    co_return serial_pass{.digest = digest, .states = hash.waypoints()};
}

awaitable<copy_report> verify_copy(pool::chunk_source& memory, digest::engine& engine, volumes::block_reader& copy,
                                   const md5_digest& name, std::size_t units, deadline until) {
    copy_report report;
    const auto points = co_await load_waypoints(copy, name, until, &report.attributes_supported);
    if (!points) co_return co_await verify_serially(memory, engine, copy, name, until, std::move(report));

    std::deque<segment> window;
    proven_state start;
    while (start.offset < copy.size() || !window.empty()) {
        while (start.offset < copy.size() && window.size() < std::max<std::size_t>(units, 1)) {
            segment& added = window.emplace_back(engine, *points, start, copy.size());
            const auto loaded = co_await added.load_through(memory, copy, until);
            if (!loaded) co_return report_failure(std::move(report), added.begin(), loaded.error());
            start.offset = added.end();
            if (start.offset < copy.size()) start = added.proof_at_end();
        }
        const auto right = co_await window.front().verify(name);
        if (!right) co_return report_failure(std::move(report), window.front().begin(), right.error());
        if (!*right) {
            // All of the bytes decide whether they or the waypoints are wrong.
            report.offset = window.front().begin();
            window.clear();
            report = co_await verify_serially(memory, engine, copy, name, until, std::move(report));
            report.false_alarm = report.result == copy_report::outcome::good;
            co_return report;
        }
        window.pop_front();
    }
    co_return report;
}

}  // namespace keepstore::store
