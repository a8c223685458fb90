/// What servers of two places may differ in without being a fault: the run says so, since it explains what comes of it
/// (a block is kept from the trash for another time, an older server lacks a request), and goes on with what all have
/// in common: mounts, index and lists.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

/// As the metrics of a server have it: absent where they do not.
struct server_traits {
    std::string server;  ///< URL.
    std::optional<std::string> version = {};
    std::optional<std::int64_t> signing_ttl_seconds = {};  ///< BlobSigningTTL.
};

[[nodiscard]] server_traits traits_of(std::string server, std::string_view metrics);

/// A sentence for each trait in which some of the servers differ: "servers of different versions: 0.1 (http://a,
/// http://b), 0.2 (http://c)". A server that does not say is left out. Pure.
[[nodiscard]] std::vector<std::string> differences_of(std::span<const server_traits> servers);

}  // namespace keepstore::keepctl
