#include "base/json.hpp"
#include "keepctl/cluster/keep_server.hpp"
#include "keepctl/cluster/server_status.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace keepstore::keepctl {
namespace {

using nlohmann::json;

bool flag_of(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_boolean() && found->get<bool>();
}

/// Goes into the target of a request.
bool is_uuid_text(const std::string& text) {
    return !text.empty() &&
           text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
               std::string::npos;
}

}  // namespace

result<std::vector<mount_info>> parse_mounts(std::string_view text, const std::string& server) {
    const json parsed = parse_json(text);
    if (!parsed.is_array()) return fail(errc::io_error, "no list of mounts");
    std::vector<mount_info> out;
    for (const json& item : parsed) {
        if (!item.is_object()) return fail(errc::io_error, "no list of mounts");
        mount_info m{.uuid = json_text(item, "uuid"),
                     .device_id = json_text(item, "device_id"),
                     .server = server,
                     .allow_write = flag_of(item, "allow_write"),
                     .allow_trash = flag_of(item, "allow_trash")};
        if (!is_uuid_text(m.uuid)) return fail(errc::io_error, "a mount without a UUID");
        if (const auto n = item.find("replication"); n != item.end() && n->is_number_integer())
            m.replication = n->get<std::int64_t>();
        if (const auto classes = item.find("storage_classes"); classes != item.end() && classes->is_object()) {
            for (const auto& [name, value] : classes->items()) {
                if (value.is_boolean()) m.classes[name] = value.get<bool>();
            }
        }
        out.push_back(std::move(m));
    }
    return out;
}

std::vector<std::string> parse_reasons(std::string_view text) {
    std::vector<std::string> out;
    const json parsed = parse_json(text);
    if (!parsed.is_object()) return out;
    const auto reasons = parsed.find("reasons");
    if (reasons == parsed.end() || !reasons->is_array()) return out;
    for (const json& reason : *reasons) {
        if (reason.is_string()) out.push_back(reason.get<std::string>());
    }
    return out;
}

}  // namespace keepstore::keepctl
