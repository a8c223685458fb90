#include "volumes/azure/blob_state.hpp"

#include "base/text.hpp"
#include "digest/md5.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::volumes::azure {
namespace {

constexpr std::string_view expires_at = "expires_at";
constexpr std::string_view touch = "touch";

void remove(protocol::name_values& metadata, std::string_view name) {
    std::erase_if(metadata, [name](const auto& entry) { return entry.first == name; });
}

void set(protocol::name_values& metadata, std::string_view name, std::int64_t value) {
    remove(metadata, name);
    metadata.emplace_back(name, std::to_string(value));
}

}  // namespace

bool is_trashed(const protocol::name_values& metadata) {
    return !protocol::find_value(metadata, expires_at).value_or("").empty();
}

std::optional<std::int64_t> deletion_second_of(const protocol::name_values& metadata) {
    return parse_number<std::int64_t>(protocol::find_value(metadata, expires_at).value_or(""));
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
