/// Servers, mounts, devices and storage classes as a balance decision sees them: small numbers instead of names. Plain
/// values, constant during a run; safe to read from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace keepstore::keepctl::balance {

struct server {
    std::string url;       ///< Without trailing slash, as pull lists name it.
    std::string identity;  ///< Orders servers for a block (protocol/rendezvous.hpp). Distinct.

    [[nodiscard]] bool operator==(const server&) const = default;
};

/// A bit for each of cluster::classes, from the lowest one.
using class_bits = std::uint64_t;

/// A volume as one server uses it.
struct mount {
    std::uint16_t server = 0;
    std::uint16_t device = 0;      ///< Mounts of one volume UUID have one device.
    std::int64_t replication = 1;  ///< At least 1; the same for all mounts of a device.
    class_bits classes = 0;
    bool allow_write = false;
    bool allow_trash = false;

    [[nodiscard]] bool operator==(const mount&) const = default;
};

struct cluster {
    std::vector<server> servers = {};
    std::vector<mount> mounts = {};
    std::vector<std::string> devices = {};  ///< Volume UUIDs, distinct.
    std::vector<std::string> classes = {};  ///< Ascending; at most limits::balance_classes_max.

    /// Copies that all devices together can hold of one block.
    [[nodiscard]] std::int64_t replication_max() const {
        std::vector<std::int64_t> each(devices.size());
        for (const auto& m : mounts) each[m.device] = m.replication;
        std::int64_t out = 0;
        for (const auto n : each) out += n;
        return out;
    }
};

}  // namespace keepstore::keepctl::balance
