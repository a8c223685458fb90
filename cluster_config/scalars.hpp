/// The scalar grammars of an Arvados configuration (docs/interface.md 1.4), as pure functions.
#pragma once

#include "base/text.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::cluster_config {

/// Parses a duration as Go's time.ParseDuration does: "336h", "1h30m", "1.5h", "-1s"; units ns, us (also with a micro
/// or mu sign), ms, s, m, h. "0" needs no unit. nullopt for anything else, overflow of 64-bit nanoseconds included.
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

/// "5m", "1h30m", "250ms": the shortest form that parse_duration reads back.
[[nodiscard]] std::string format_duration(std::chrono::nanoseconds);

/// Parses a number with an optional unit K, Ki, M, Mi, ... E, Ei, each optionally followed by B, case-sensitive;
/// fractions are rounded down. nullopt for anything else, overflow and negative values included.
[[nodiscard]] std::optional<std::uint64_t> parse_byte_size(std::string_view text);

/// "16 KiB", "8 GiB", "1234 bytes".
[[nodiscard]] std::string format_bytes(std::uint64_t);

/// ^[a-z0-9]{5}$
[[nodiscard]] bool is_cluster_id(std::string_view);

}  // namespace keepstore::cluster_config
