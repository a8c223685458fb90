#include "protocol/remote_locator.hpp"

#include <string_view>

namespace keepstore::protocol {

result<remote_locator> parse_remote_locator(const locator& block) {
    remote_locator out;
    std::string_view rest = block.text;
    bool first = true;
    while (true) {
        const auto plus = rest.find('+');
        const std::string_view part = rest.substr(0, plus);
        // R, five characters of cluster id, a dash, the signature.
        const bool usable = part.size() > 7 && part[0] == 'R' && part[6] == '-';
        if (first) {
            out.text = part;
        } else if (usable && out.cluster_id.empty()) {
            out.cluster_id = part.substr(1, 5);
            out.text.append("+A").append(part.substr(7));
        } else if (!part.starts_with('R') && !part.starts_with('A')) {
            out.text.append("+").append(part);
        }
        if (plus == std::string_view::npos) break;
        rest.remove_prefix(plus + 1);
        first = false;
    }
    if (out.cluster_id.empty()) return fail(errc::bad_request, "invalid remote hint");
    return out;
}

}  // namespace keepstore::protocol
