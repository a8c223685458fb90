#include "router/remote_hint.hpp"

#include <string_view>

namespace keepstore::router {

error remote_read_error(const core::locator& block, bool has_token) {
    if (!has_token) return error(errc::unauthorized, "no token provided in Authorization header");
    // A usable hint is R + five characters of cluster id + '-' + signature.
    std::string_view rest = block.text;
    for (auto plus = rest.find('+'); plus != std::string_view::npos; plus = rest.find('+')) {
        rest.remove_prefix(plus + 1);
        const std::string_view hint = rest.substr(0, rest.find('+'));
        if (hint.size() > 7 && hint[0] == 'R' && hint[6] == '-')
            return error(errc::bad_request, "remote cluster not configured");
    }
    return error(errc::bad_request, "invalid remote hint");
}

}  // namespace keepstore::router
