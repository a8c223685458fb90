/// The names of objects in a bucket, as the Go daemon has them (docs/interface.md 4.4):
///
///     abcdef...              a block (PrefixLength 0), or abc/abcdef... (PrefixLength 3)
///     recent/abcdef...       its marker; the marker's Last-Modified is the block's mtime
///     trash/abcdef...        the block in the trash; its Last-Modified is when it was trashed
///
/// Pure functions.
#pragma once

#include "base/md5_digest.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::volumes::s3 {

class object_names {
  public:
    static constexpr std::string_view recent_folder = "recent/";
    static constexpr std::string_view trash_folder = "trash/";

    /// The Go daemon ignores a PrefixLength of 31 or more.
    explicit object_names(std::size_t prefix_length) : prefix_(prefix_length < 31 ? prefix_length : 0) {}

    [[nodiscard]] std::string block(const md5_digest& name) const { return key_of_digits(name.hex()); }
    [[nodiscard]] std::string recent(const md5_digest& name) const { return std::string(recent_folder) + block(name); }
    [[nodiscard]] std::string trash(const md5_digest& name) const { return std::string(trash_folder) + block(name); }

    /// The block that this key (without folder) belongs to; nullopt for other objects, and for blocks in a place where
    /// this PrefixLength does not look for them.
    [[nodiscard]] std::optional<md5_digest> parse(std::string_view key) const;

    /// What the keys of all blocks begin with whose names begin with these digits (at most 32).
    [[nodiscard]] std::string key_of_digits(std::string_view digits) const;

  private:
    std::size_t prefix_;
};

}  // namespace keepstore::volumes::s3
