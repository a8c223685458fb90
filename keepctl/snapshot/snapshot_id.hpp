/// The name of a snapshot: when its creation began by the clock of its host, for people, and 16 random hex digits.
///
///     20261121T031500Z-7f3a9c2e51d04b68
///
/// The order of snapshots is never taken from it. It is part of paths and keys, so it is parsed strictly.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

class snapshot_id {
  public:
    [[nodiscard]] static std::optional<snapshot_id> parse(std::string_view text);
    /// \param digits  16 random hex digits.
    [[nodiscard]] static snapshot_id make(std::chrono::sys_seconds at, std::string_view digits);

    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    /// The value of the random digits, as inventories carry it.
    [[nodiscard]] std::array<std::uint8_t, 8> nonce() const;
    /// "snapshots/ID/", where its objects are.
    [[nodiscard]] std::string folder() const { return "snapshots/" + text_ + '/'; }

    [[nodiscard]] bool operator==(const snapshot_id&) const = default;

  private:
    explicit snapshot_id(std::string text) : text_(std::move(text)) {}

    std::string text_;
};

/// Returns 16 random hex digits.
[[nodiscard]] std::string random_digits();

/// "index.kinv" for the whole snapshot, "index-3f.kinv" for the blocks that begin with 3f.
[[nodiscard]] std::string inventory_name(std::string_view prefix);

}  // namespace keepstore::keepctl
