#include "volumes/cloud/cloud_volume.hpp"

#include "base/hex.hpp"
#include "base/text.hpp"
#include "volumes/cloud/cloud_reader.hpp"
#include "volumes/cloud/cloud_writer.hpp"

#include <fmt/format.h>

#include <map>
#include <string>

namespace keepstore::volumes::cloud {
namespace {

using monitor_type = awaitable<result<void>> (*)(std::shared_ptr<circuit_breaker>, circuit_breaker::probe_type,
                                                 std::function<void()>);

awaitable<result<void>> run_monitor(monitor_type monitor, circuit_breaker::probe_type probe,
                                    std::shared_ptr<circuit_breaker> breaker, std::weak_ptr<volume_core> core) {
    auto opened = [core] {
        if (const auto locked = core.lock()) locked->loops.abort_all();
    };
    return monitor(std::move(breaker), std::move(probe), std::move(opened));
}

/// The counters of a client of this service.
volume_stats stats_of(const protocol::op_stats& client, const std::string& service) {
    volume_stats out{.operations = client.operations(),
                     .errors = client.errors(),
                     .bytes_in = client.bytes_in.value(),
                     .bytes_out = client.bytes_out.value()};
    for (const auto& counts : {out.operations, client.other_operations()}) {
        for (const auto& [operation, n] : counts) {
            out.own.push_back({fmt::format("keepstore_{}_requests_total", lower_case(service)),
                               fmt::format("Requests to {}, retries included, by operation", service), "operation",
                               operation, n});
        }
    }
    client.for_each([&](const counter& c) {
        out.own.push_back({std::string(c.name()), std::string(c.help()), "", "", c.value()});
    });
    // A precondition that does not hold is the result of a comparison, and no failure.
    std::erase_if(out.errors, [](const auto& entry) {
        return entry.first.find(" 412 ") != std::string::npos || entry.first.ends_with("(BlobAlreadyExists)");
    });
    return out;
}

}  // namespace

cloud_volume::cloud_volume(std::shared_ptr<volume_core> core, probing probes, std::string id)
    : core_(std::move(core)), probe_stats_(std::move(probes.stats)), id_(std::move(id)) {
    const auto ignore = [](const result<void>&) {};
    for (const auto monitor : {circuit_breaker::monitor, circuit_breaker::monitor_slowly}) {
        static_cast<void>(
            core_->loops.spawn<void>(run_monitor(monitor, probes.probe, core_->breaker, core_), ignore, false));
    }
}

awaitable<result<std::unique_ptr<block_reader>>> cloud_volume::open(md5_digest name, deadline until) {
    return unless_stalled(core_->breaker, until, open_cloud_reader(core_, name, {}, until));
}

awaitable<result<std::unique_ptr<block_reader>>> cloud_volume::open_for(md5_digest name, open_hint hint,
                                                                        deadline until) {
    return unless_stalled(core_->breaker, until, open_cloud_reader(core_, name, std::move(hint), until));
}

awaitable<result<std::unique_ptr<block_writer>>> cloud_volume::create(md5_digest name,
                                                                      std::optional<std::uint64_t> size, deadline) {
    co_return make_cloud_writer(core_, name, size);
}

awaitable<result<void>> cloud_volume::touch(md5_digest name, deadline until) {
    KS_CO_CHECK(core_->breaker->allow());
    co_return co_await unless_stalled(core_->breaker, until, core_->loops.run(core_->touch(name, until)));
}

awaitable<result<void>> cloud_volume::index(std::string prefix, index_sink& sink, deadline until) {
    if (prefix.size() > 32 || !is_lower_hex(prefix)) co_return success();
    KS_CO_CHECK(core_->breaker->allow());
    const auto listing = std::make_shared<parallel_listing>(core_, std::move(prefix), until);
    const struct stopper {
        parallel_listing& owner;
        ~stopper() { owner.stop(); }
    } stop_at_end{*listing};
    listing->start();
    while (true) {
        KS_CO_TRY(const auto batch, co_await listing->next());
        if (batch.empty()) break;
        KS_CO_CHECK(co_await sink.put(batch));
    }
    sink.foreign(listing->foreign());
    co_return success();
}

volume_stats cloud_volume::stats() const {
    const auto& service = core_->setup.where.service;
    auto out = stats_of(core_->client_stats(), service);
    out.add(stats_of(*probe_stats_, service));
    return out;
}

volume_states cloud_volume::state() const {
    const auto now = core_->breaker->volume_health();
    return {.reads = now, .writes = now};
}

}  // namespace keepstore::volumes::cloud
