/// A small cluster with one block, for tests of balance decisions: who has a copy since when, and what happens to it
/// when changes are carried out as servers do.
#pragma once

#include "keepctl/balance/planner.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::keepctl::balance::test {

/// Plans a shard and joins it.
inline void add_shard(planner& plan, const cluster& all, std::span<const entry> entries,
                      std::span<const reference> references) {
    shard_planner one(all, plan.options());
    auto planned = plan.begin_shard();
    one.plan(entries, references, planned);
    plan.join(planned);
}

struct world {
    cluster all;
    md5_digest block;
    std::map<std::uint16_t, copy> copies;  ///< By device.
    std::vector<std::uint32_t> desired;    ///< For each class.
    std::int64_t cutoff = 1'000'000;

    /// `count` servers as in Arvados' own tests, with a mount each, of one class.
    static world of_servers(std::size_t count) {
        world out;
        out.all.classes = {"default"};
        for (std::size_t i = 0; i < count; ++i) {
            out.all.servers.push_back({fmt::format("http://keep{:x}:25107", i), fmt::format("zzzzz-bi6l4-{:015x}", i)});
            out.all.devices.push_back(fmt::format("zzzzz-nyw5e-{:015x}", i));
            out.all.mounts.push_back({.server = static_cast<std::uint16_t>(i),
                                      .device = static_cast<std::uint16_t>(i),
                                      .classes = 1,
                                      .allow_write = true,
                                      .allow_trash = true});
        }
        return out;
    }

    [[nodiscard]] decision decide() const {
        decision out;
        decider judge(all);
        weights w(all);
        w.compute(std::span(&block, 1));
        std::vector<copy> list;
        for (const auto& [device, c] : copies) list.push_back(c);
        judge.decide({.server_weights = w.of_servers(0),
                      .mount_weights = w.of_mounts(0),
                      .copies = list,
                      .desired = desired,
                      .cutoff = cutoff},
                     out);
        return out;
    }

    void put(std::uint16_t device, std::int64_t mtime, bool conflict = false) {
        copies[device] = {.device = device, .conflict = conflict, .mtime = mtime};
    }
    /// As the server does: a copy with another mtime stays.
    void trash(const trash_change& t) {
        const auto found = copies.find(all.mounts[t.mount].device);
        if (found != copies.end() && found->second.mtime == t.mtime) copies.erase(found);
    }
    void pull(const pull_change& p, std::int64_t now) { put(all.mounts[p.mount].device, now); }

    /// Replication on distinct devices that offer a class; of all for no class.
    [[nodiscard]] std::int64_t held(class_bits wanted = 0) const {
        std::int64_t out = 0;
        for (const auto& [device, c] : copies) {
            if (!c.conflict) out += replication_of(device, wanted);
        }
        return out;
    }
    [[nodiscard]] std::int64_t replication_of(std::uint16_t device, class_bits wanted) const {
        for (const auto& m : all.mounts) {
            if (m.device == device && (wanted == 0 || (m.classes & wanted) != 0)) return m.replication;
        }
        return 0;
    }
    /// What a class can hold: devices with a copy, and those that can take one.
    [[nodiscard]] std::int64_t achievable(class_bits wanted) const {
        std::set<std::uint16_t> devices;
        for (const auto& m : all.mounts) {
            const auto found = copies.find(m.device);
            const bool has = found != copies.end() && !found->second.conflict;
            if ((m.classes & wanted) != 0 && (has || m.allow_write)) devices.insert(m.device);
        }
        std::int64_t out = 0;
        for (const auto d : devices) out += replication_of(d, wanted);
        return held() > 0 ? out : 0;
    }
};

}  // namespace keepstore::keepctl::balance::test
