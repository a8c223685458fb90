#include "azure/blob_address.hpp"

#include "base/text.hpp"
#include "cloud/query.hpp"

#include <fmt/format.h>
#include <boost/asio/ip/address.hpp>

#include <algorithm>

namespace keepstore::azure {
namespace {

bool is_account_name(std::string_view name) {
    return name.size() >= 3 && name.size() <= 24 && std::ranges::all_of(name, is_lower_or_digit);
}

/// Letters, digits and single hyphens; "$root", "$web" and "$logs" exist, too.
bool is_container_name(std::string_view name) {
    if (name.starts_with('$')) return name.size() > 1 && std::ranges::all_of(name.substr(1), is_lower_or_digit);
    if (name.size() < 3 || name.size() > 63 || name.contains("--")) return false;
    if (!is_lower_or_digit(name.front()) || !is_lower_or_digit(name.back())) return false;
    return std::ranges::all_of(name, [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

bool is_address(const std::string& host) {
    boost::system::error_code failed;
    static_cast<void>(boost::asio::ip::make_address(host, failed));
    return !failed;
}

}  // namespace

std::string blob_address::path_of(std::string_view key) const {
    if (key.empty()) return path_prefix;
    return path_prefix + "/" + cloud::uri_encode(key, cloud::encode_slash::no);
}

result<blob_address> make_blob_address(const address_options& options) {
    if (!is_account_name(options.account)) {
        return fail(
            errc::bad_request,
            "StorageAccountName must be 3 to 24 lower-case letters and digits, without the rest of a host name");
    }
    if (!is_container_name(options.container)) {
        return fail(errc::bad_request,
                    "ContainerName must be 3 to 63 lower-case letters, digits and single hyphens between them");
    }
    auto text = std::string(options.endpoint);
    if (text.empty()) text = fmt::format("{}.blob.{}", options.account, options.suffix);
    if (!text.contains("://")) text = "https://" + text;
    auto url = net::parse_url(text);
    if (!url || url->to.host.empty() || url->target.contains('?')) {
        return fail(errc::bad_request,
                    "the endpoint is not a URL: expected https://ACCOUNT.blob.core.windows.net or host:port");
    }
    std::string path = url->target;
    while (path.ends_with('/')) path.pop_back();
    if (path.empty() && is_address(url->to.host)) path = fmt::format("/{}", options.account);
    return blob_address{.to = std::move(url->to), .path_prefix = fmt::format("{}/{}", path, options.container)};
}

}  // namespace keepstore::azure
