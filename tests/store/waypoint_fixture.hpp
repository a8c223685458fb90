/// A block store over volumes in memory that keep waypoints, and the waypoints that a content should have.
#pragma once

#include "digest/waypoints.hpp"
#include "store/verify/verify_copy.hpp"
#include "tests/store/store_fixture.hpp"

#include <optional>
#include <string>
#include <vector>

namespace keepstore::test {

inline const std::string key(store::waypoints_attribute);

struct waypoint_fixture : fixture {
    explicit waypoint_fixture(std::size_t volumes = 2, std::size_t budget = 64 * MiB)
        : fixture(std::vector<std::vector<std::string>>(volumes, {"default"}), budget) {
        for (auto& v : memory) v->keep_attributes(true);
    }
    /// The block on every volume, with its waypoints.
    void store_everywhere(const std::string& content) {
        REQUIRE(put(content).has_value());
        const auto name = name_of(content);
        const auto points = memory[0]->attribute(name, key);
        for (std::size_t i = 1; i < memory.size(); ++i) {
            memory[i]->plant(name, content);
            memory[i]->set_attribute(name, key, points);
        }
    }
    [[nodiscard]] std::optional<digest::waypoints> points_of(std::size_t volume, const std::string& content) const {
        const auto value = memory[volume]->attribute(name_of(content), key);
        if (!value) return std::nullopt;
        return digest::waypoints::decode(*value, content.size(), name_of(content));
    }
};

// The right ones, computed by the plain stream.
inline digest::waypoints right_points(const std::string& content) {
    const std::size_t stride = digest::waypoints::stride_for(content.size());
    std::vector<digest::md5_state> states;
    digest::md5 hash;
    const auto bytes = std::as_bytes(std::span(content));
    for (std::size_t at = 0; at + stride <= bytes.size(); at += stride) {
        hash.update(bytes.subspan(at, stride));
        states.push_back(hash.state());
    }
    return *digest::waypoints::make(content.size(), stride, states);
}

}  // namespace keepstore::test
