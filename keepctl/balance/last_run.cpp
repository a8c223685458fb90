#include "keepctl/balance/last_run.hpp"

#include "base/json.hpp"
#include "base/utc_text.hpp"
#include "cloud/time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace keepstore::keepctl::balance {
namespace {

using json = nlohmann::ordered_json;

constexpr std::string_view format_name = "keepctl-balance-1";

std::optional<std::vector<std::string>> texts_of(const json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_array()) return std::nullopt;
    std::vector<std::string> out;
    for (const auto& item : *found) {
        if (!item.is_string()) return std::nullopt;
        out.push_back(item.get<std::string>());
    }
    return out;
}

std::optional<sent_lists> lists_of(const json& object, const char* items, const char* sha256) {
    const auto count = json_number(object, items);
    auto sums = texts_of(object, sha256);
    if (!count || !sums) return std::nullopt;
    return sent_lists{.items = *count, .sha256 = std::move(*sums)};
}

std::optional<known_server> server_of(const json& object) {
    if (!object.is_object()) return std::nullopt;
    known_server out{.url = json_text(object, "url")};
    auto pull = lists_of(object, "pull_items", "pull_sha256");
    auto trash = lists_of(object, "trash_items", "trash_sha256");
    auto mounts = texts_of(object, "mounts");
    if (out.url.empty() || !pull || !trash || !mounts) return std::nullopt;
    out.pull = std::move(*pull);
    out.trash = std::move(*trash);
    out.mounts = std::move(*mounts);
    return out;
}

std::optional<known_device> device_of(const json& object) {
    if (!object.is_object()) return std::nullopt;
    const auto entries = json_number(object, "entries");
    known_device out{.uuid = json_text(object, "uuid"), .device_id = json_text(object, "device_id")};
    if (out.uuid.empty() || !entries) return std::nullopt;
    out.entries = *entries;
    return out;
}

}  // namespace

void sent_lists::add(std::uint64_t item_count, std::string sha) {
    items = item_count;
    std::erase(sha256, sha);
    sha256.insert(sha256.begin(), std::move(sha));
    if (sha256.size() > kept) sha256.resize(kept);
}

const known_server* last_run::find_server(std::string_view url) const {
    const auto found = std::ranges::find(servers, url, &known_server::url);
    return found == servers.end() ? nullptr : &*found;
}

const known_device* last_run::find_device(std::string_view uuid) const {
    const auto found = std::ranges::find(devices, uuid, &known_device::uuid);
    return found == devices.end() ? nullptr : &*found;
}

std::string encode_last_run(const last_run& run) {
    json out{{"format", format_name},
             {"ended_at", utc_text(run.ended_at)},
             {"references", run.references},
             {"servers", json::array()},
             {"devices", json::array()}};
    for (const auto& s : run.servers) {
        out["servers"].push_back({{"url", s.url},
                                  {"mounts", s.mounts},
                                  {"pull_items", s.pull.items},
                                  {"pull_sha256", s.pull.sha256},
                                  {"trash_items", s.trash.items},
                                  {"trash_sha256", s.trash.sha256}});
    }
    for (const auto& d : run.devices)
        out["devices"].push_back({{"uuid", d.uuid}, {"device_id", d.device_id}, {"entries", d.entries}});
    return json_to_text(out) + "\n";
}

std::optional<last_run> decode_last_run(std::string_view text) {
    const json parsed = parse_ordered_json(text);
    if (!parsed.is_object() || json_text(parsed, "format") != format_name) return std::nullopt;
    const auto references = json_number(parsed, "references");
    const auto ended_at = cloud::parse_iso_date(json_text(parsed, "ended_at"));
    const auto servers = parsed.find("servers");
    const auto devices = parsed.find("devices");
    if (!references || !ended_at || servers == parsed.end() || !servers->is_array() || devices == parsed.end() ||
        !devices->is_array())
        return std::nullopt;
    last_run out{.ended_at = std::chrono::floor<std::chrono::seconds>(*ended_at), .references = *references};
    for (const auto& item : *servers) {
        auto s = server_of(item);
        if (!s) return std::nullopt;
        out.servers.push_back(std::move(*s));
    }
    for (const auto& item : *devices) {
        auto d = device_of(item);
        if (!d) return std::nullopt;
        out.devices.push_back(std::move(*d));
    }
    return out;
}

}  // namespace keepstore::keepctl::balance
