#include "cluster_config/url.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::cluster_config {
namespace {

/// Takes "scheme:" off the front, if there is one. False when the text starts with a colon.
bool take_scheme(std::string_view& text, std::string& scheme) {
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (is_letter(c)) continue;
        if (c == ':') {
            if (at == 0) return false;
            scheme = lower_case(text.substr(0, at));
            text.remove_prefix(at + 1);
            return true;
        }
        if (at == 0 || (!is_digit(c) && c != '+' && c != '-' && c != '.')) return true;
    }
    return true;
}

/// "host", "host:port", "[v6]", "[v6]:port"; the port is empty or decimal.
bool host_is_valid(std::string_view host) {
    if (host.find_first_of(" \"<>\\^`{|}/") != std::string_view::npos) return false;
    std::string_view port;
    if (host.starts_with('[')) {
        const auto close = host.rfind(']');
        if (close == std::string_view::npos) return false;
        port = host.substr(close + 1);
    } else if (const auto colon = host.find(':'); colon != std::string_view::npos) {
        port = host.substr(colon);
    }
    if (port.empty()) return true;
    return port[0] == ':' && std::ranges::all_of(port.substr(1), is_digit);
}

}  // namespace

std::string url::hostname() const {
    if (host.starts_with('[')) {
        const auto close = host.rfind(']');
        return host.substr(1, close == std::string::npos ? close : close - 1);
    }
    return host.substr(0, host.find(':'));
}

std::string url::port() const {
    const auto bracket = host.rfind(']');
    const auto colon = host.find(':', bracket == std::string::npos ? 0 : bracket);
    return colon == std::string::npos ? std::string() : host.substr(colon + 1);
}

std::string url::to_string() const {
    std::string out;
    if (!scheme.empty()) out += scheme + ":";
    if (!opaque.empty()) return out + opaque;
    if (!host.empty()) out += "//" + host;
    out += path;
    if (!query.empty()) out += "?" + query;
    if (!fragment.empty()) out += "#" + fragment;
    return out;
}

std::expected<url, std::string> parse_url(std::string_view text) {
    url out;
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::unexpected("control character in URL");

    if (const auto hash = text.find('#'); hash != std::string_view::npos) {
        out.fragment = text.substr(hash + 1);
        text = text.substr(0, hash);
    }
    if (!take_scheme(text, out.scheme)) return std::unexpected("missing protocol scheme");
    if (const auto question = text.find('?'); question != std::string_view::npos) {
        out.query = text.substr(question + 1);
        text = text.substr(0, question);
    }
    if (!text.starts_with('/')) {
        if (!out.scheme.empty()) {
            out.opaque = text;
            return out;
        }
        if (const auto segment = text.substr(0, text.find('/')); segment.find(':') != std::string_view::npos)
            return std::unexpected("first path segment in URL cannot contain a colon (is http:// missing?)");
    }
    if (text.starts_with("//")) {
        text.remove_prefix(2);
        std::string_view authority = text.substr(0, text.find('/'));
        text.remove_prefix(authority.size());
        if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
            out.user = authority.substr(0, at);
            authority.remove_prefix(at + 1);
        }
        if (!host_is_valid(authority)) return std::unexpected("invalid host or port");
        out.host = authority;
    }
    if (!percent_decode(text) || !percent_decode(out.host)) return std::unexpected("invalid URL escape");
    out.path = text;
    if (out.path.empty() && !out.host.empty()) out.path = "/";
    return out;
}

}  // namespace keepstore::cluster_config
