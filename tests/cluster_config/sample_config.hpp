/// A small valid configuration for tests, and ways to vary it.
#pragma once

#include "cluster_config/loader.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace keepstore::test {

/// `extra` is added at the level of the cluster's keys, indented by two spaces ("  API: {...}\n").
inline std::string sample_config(const std::string& extra = {}, const std::string& volumes = "  Volumes: {}\n") {
    return "Clusters:\n"
           " zzzzz:\n"
           "  SystemRootToken: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
           "  ManagementToken: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n" +
           volumes + extra;
}

/// The part of Collections that every valid configuration needs; `more` are further keys, ", Key:
/// value".
inline std::string collections(const std::string& more = {}) {
    return "  Collections: {BlobSigningKey: cccccccccccccccccccccccccccccccccccc" + more + "}\n";
}

inline cluster_config::config load(const std::string& text, const cluster_config::environment& env = {}) {
    auto loaded = cluster_config::parse_config(text, "/c.yml", env);
    INFO((loaded ? std::string() : loaded.error()));
    REQUIRE(loaded);
    return std::move(*loaded);
}

inline std::string error_of(const std::string& text, const cluster_config::environment& env = {}) {
    const auto loaded = cluster_config::parse_config(text, "/c.yml", env);
    return loaded ? "loaded" : loaded.error();
}

inline bool warned(const cluster_config::config& c, const std::string& part) {
    return std::ranges::any_of(c.warnings, [&](const std::string& w) { return w.find(part) != std::string::npos; });
}

inline std::string volume(const std::string& inside, const std::string& more = {}) {
    return "  Volumes: {zzzzz-nyw5e-000000000000000: {" + inside + "}" + more + "}\n";
}
inline const std::string directory = "Driver: Directory, DriverParameters: {Root: /v}";

inline const cluster_config::volume_config& first_volume(const cluster_config::config& c) {
    return c.cluster.volumes.begin()->second;
}

}  // namespace keepstore::test
