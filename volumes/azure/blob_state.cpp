#include "volumes/azure/blob_state.hpp"

#include "digest/md5.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::volumes::azure {
namespace {

constexpr std::string_view expires_at = "expires_at";
constexpr std::string_view touch = "touch";

std::string_view value_of(const protocol::name_values& metadata, std::string_view name) {
    const auto found = std::ranges::find(metadata, name, &protocol::name_values::value_type::first);
    return found == metadata.end() ? std::string_view() : std::string_view(found->second);
}

void remove(protocol::name_values& metadata, std::string_view name) {
    std::erase_if(metadata, [name](const auto& entry) { return entry.first == name; });
}

void set(protocol::name_values& metadata, std::string_view name, std::int64_t value) {
    remove(metadata, name);
    metadata.emplace_back(name, std::to_string(value));
}

}  // namespace

bool is_trashed(const protocol::name_values& metadata) {
    return !value_of(metadata, expires_at).empty();
}

std::optional<std::int64_t> deletion_second_of(const protocol::name_values& metadata) {
    const auto text = value_of(metadata, expires_at);
    std::int64_t second = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), second);
    if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return second;
}

bool is_being_written(const md5_digest& name, std::uint64_t size, std::chrono::nanoseconds age,
                      std::chrono::nanoseconds write_race_interval) {
    return size == 0 && name != digest::md5().finish() && age < write_race_interval;
}

protocol::name_values trashed(protocol::name_values metadata, std::int64_t deletion_second) {
    set(metadata, expires_at, deletion_second);
    return metadata;
}

protocol::name_values touched(protocol::name_values metadata, std::int64_t second) {
    remove(metadata, expires_at);
    set(metadata, touch, second);
    return metadata;
}

}  // namespace keepstore::volumes::azure
