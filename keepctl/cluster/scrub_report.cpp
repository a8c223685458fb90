#include "keepctl/cluster/scrub_report.hpp"

#include "base/json.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace keepstore::keepctl {
namespace {

using nlohmann::json;

std::int64_t count_in(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

}  // namespace

result<std::vector<scrub_report>> parse_scrubs(std::string_view text) {
    const json parsed = parse_json(text);
    const auto list = parsed.is_object() ? parsed.find("scrubs") : parsed.end();
    if (!parsed.is_object() || list == parsed.end() || !list->is_array())
        return fail(errc::io_error, "no list of scrubs");
    std::vector<scrub_report> out;
    for (const json& item : *list) {
        if (!item.is_object()) return fail(errc::io_error, "no list of scrubs");
        scrub_report r{.mount = json_text(item, "mount"),
                       .state = json_text(item, "state"),
                       .reason = json_text(item, "reason"),
                       .blocks_checked = count_in(item, "blocks_checked"),
                       .bytes_read = count_in(item, "bytes_read"),
                       .bad = count_in(item, "bad"),
                       .unreadable = count_in(item, "unreadable"),
                       .repaired = count_in(item, "repaired"),
                       .irreparable = count_in(item, "irreparable"),
                       .last_complete_at = json_text(item, "last_complete_at")};
        if (const auto progress = item.find("progress"); progress != item.end() && progress->is_number())
            r.progress = progress->get<double>();
        if (const auto copies = item.find("irreparable_copies"); copies != item.end() && copies->is_array()) {
            for (const json& copy : *copies) {
                if (copy.is_object())
                    r.irreparable_copies.push_back({json_text(copy, "block"), json_text(copy, "problem")});
            }
        }
        out.push_back(std::move(r));
    }
    return out;
}

}  // namespace keepstore::keepctl
