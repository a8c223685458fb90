#include "net/http/url.hpp"

#include "net/http/text.hpp"

#include <boost/asio/ip/address.hpp>

namespace keepstore::net {
namespace {

std::unexpected<error> bad(std::string_view why) {
    return fail(errc::bad_request, "bad URL: " + std::string(why));
}

bool is_host_name(std::string_view text) {
    // Underscores are in use, if not in the standard. The length is the name system's limit.
    return !text.empty() && text.size() <= 253 && text.front() != '.' && text.front() != '-' &&
           std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-' || c == '.' || c == '_'; }) &&
           !text.contains("..");
}

/// All in digits and dots, or ending in a number: an address, or a mistake, or one of the short forms ("127.1",
/// "0x7f.1") with which filters are deceived.
bool looks_like_ipv4(std::string_view host) {
    const auto last = host.substr(host.rfind('.') + 1);
    return is_number(last) || last.starts_with("0x");
}

result<endpoint> parse_authority(bool tls, std::string_view text) {
    endpoint to{tls, "", static_cast<std::uint16_t>(tls ? 443 : 80)};
    if (text.contains('@')) return bad("user name or password in it");
    std::string_view port;
    bool has_port = false;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return bad("no closing bracket after the address");
        // A scope ("fe80::1%eth0") means something on the host that wrote it down only, and would make one address look
        // like many.
        if (text.substr(0, end).contains('%')) return bad("IPv6 address with a scope");
        boost::system::error_code code;
        const auto address = boost::asio::ip::make_address_v6(std::string(text.substr(1, end - 1)), code);
        if (code) return bad("malformed IPv6 address");
        to.host = address.to_string();
        const auto rest = text.substr(end + 1);
        if (!rest.empty() && rest.front() != ':') return bad("malformed host");
        has_port = !rest.empty();
        if (has_port) port = rest.substr(1);
    } else {
        const auto colon = text.find(':');
        has_port = colon != std::string_view::npos;
        if (has_port) port = text.substr(colon + 1);
        to.host = lower_case(text.substr(0, colon));
        if (!is_host_name(to.host)) return bad("malformed host");
        if (looks_like_ipv4(to.host)) {
            boost::system::error_code code;
            const auto address = boost::asio::ip::make_address_v4(to.host, code);
            if (code || address.to_string() != to.host) return bad("malformed IPv4 address");
        }
    }
    // "host:" is allowed and means the scheme's own port (RFC 3986 3.2.3).
    if (has_port && !port.empty()) {
        const auto number = parse_number<std::uint16_t>(port);
        if (number.value_or(0) == 0) return bad("malformed port");
        to.port = *number;
    }
    return to;
}

bool is_url_text(std::string_view text) {
    return is_target(text) && text.find_first_of("\"<>\\^`{|}") == std::string_view::npos;
}

}  // namespace

result<url> parse_url(std::string_view text) {
    text = text.substr(0, text.find('#'));
    if (!is_url_text(text)) return bad("empty, or with characters that must be escaped");
    const auto colon = text.find("://");
    if (colon == std::string_view::npos) return bad("it does not begin with http:// or https://");
    const auto scheme = text.substr(0, colon);
    const bool tls = iequals(scheme, "https");
    if (!tls && !iequals(scheme, "http")) return bad("only http and https are spoken");
    const auto rest = text.substr(colon + 3);
    const auto path = rest.find_first_of("/?");
    KS_TRY(auto to, parse_authority(tls, rest.substr(0, path)));
    url out{std::move(to), "/"};
    if (path == std::string_view::npos) return out;
    out.target = rest.substr(path);
    if (out.target.front() == '?') out.target.insert(0, "/");
    return out;
}

result<url> resolve_location(const url& base, std::string_view location) {
    location = location.substr(0, location.find('#'));
    if (!is_url_text(location)) return bad("empty, or with characters that must be escaped");
    if (location.starts_with("//")) return parse_url((base.to.tls ? "https:" : "http:") + std::string(location));
    const auto colon = location.find(':');
    if (colon != std::string_view::npos && colon < location.find_first_of("/?")) return parse_url(location);
    const std::string_view target = base.target;
    const auto path = target.substr(0, target.find('?'));
    std::string joined;
    if (location.front() == '?') {
        joined = path;
    } else if (location.front() != '/') {
        joined = path.substr(0, path.rfind('/') + 1);
    }
    joined += location;
    return url{base.to, std::move(joined)};
}

std::string host_header(const endpoint& to) {
    std::string out = to.host.contains(':') ? "[" + to.host + "]" : to.host;
    if (to.port != (to.tls ? 443 : 80)) out += ":" + std::to_string(to.port);
    return out;
}

std::string to_string(const endpoint& to) {
    std::string out = to.tls ? "https://" : "http://";
    out += to.host.contains(':') ? "[" + to.host + "]" : to.host;
    return out + ":" + std::to_string(to.port);
}

}  // namespace keepstore::net
