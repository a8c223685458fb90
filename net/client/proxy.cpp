#include "net/client/proxy.hpp"

#include "base/base64.hpp"
#include "base/text.hpp"
#include "net/http/text.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include <algorithm>
#include <cstdint>
#include <span>

namespace keepstore::net {
namespace {

namespace ip = boost::asio::ip;

// "[http://][user[:password]@]host[:port][/]"
result<proxy> parse_proxy(std::string_view text) {
    const auto bad = [](std::string_view why) { return fail(errc::bad_request, std::string(why)); };
    text = trim(text);
    if (const auto scheme = text.find("://"); scheme != std::string_view::npos) {
        if (!iequals(text.substr(0, scheme), "http")) return bad("only proxies with http:// are supported");
        text.remove_prefix(scheme + 3);
    }
    text = text.substr(0, text.find_first_of("/?#"));
    proxy out;
    if (const auto at = text.rfind('@'); at != std::string_view::npos) {
        auto user = text.substr(0, at);
        const auto name = percent_decode(take_part(user, ':'));
        const auto password = percent_decode(user);
        if (!name || !password) return bad("malformed user name or password");
        const std::string pair = *name + ":" + *password;
        out.authorization = "Basic " + encode_base64(std::as_bytes(std::span(pair)));
        text.remove_prefix(at + 1);
    }
    auto parsed = parse_url("http://" + std::string(text));
    if (!parsed) return bad("no proxy's host and port");
    out.to = std::move(parsed->to);
    return out;
}

std::optional<ip::address> address_of(std::string_view text) {
    boost::system::error_code malformed;
    if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    const auto out = ip::make_address(std::string(text), malformed);
    if (malformed) return std::nullopt;
    return out;
}

bool is_in_network(const ip::address& address, std::string_view network) {
    boost::system::error_code malformed;
    if (address.is_v4()) {
        const auto net = ip::make_network_v4(std::string(network), malformed);
        return !malformed && ip::network_v4(address.to_v4(), net.prefix_length()).canonical() == net.canonical();
    }
    const auto net = ip::make_network_v6(std::string(network), malformed);
    return !malformed && ip::network_v6(address.to_v6(), net.prefix_length()).canonical() == net.canonical();
}

bool is_below(std::string_view host, std::string_view domain) {
    if (domain.starts_with("*.")) domain.remove_prefix(1);
    if (domain.starts_with('.')) domain.remove_prefix(1);
    if (domain.empty() || !host.ends_with(domain)) return false;
    return host.size() == domain.size() || host[host.size() - domain.size() - 1] == '.';
}

}  // namespace

result<proxy_rules> proxy_rules::from_environment(const environment& env) {
    proxy_rules out;
    const auto read = [&](const char* lower, const char* upper, std::optional<proxy>& into) -> result<void> {
        const auto* name = lower;
        auto value = env(lower);
        if (!value) {
            name = upper;
            value = env(upper);
        }
        if (!value) return success();
        auto parsed = parse_proxy(*value);
        if (!parsed) return fail(errc::bad_request, std::string(name) + ": " + parsed.error().text);
        into = std::move(*parsed);
        return success();
    };
    KS_CHECK(read("http_proxy", "HTTP_PROXY", out.for_http_));
    KS_CHECK(read("https_proxy", "HTTPS_PROXY", out.for_https_));
    auto direct = env("no_proxy");
    if (!direct) direct = env("NO_PROXY");
    if (direct) {
        for_each_element(*direct, [&](std::string_view element) {
            if (!element.empty()) out.direct_.push_back(lower_case(element));
        });
    }
    return out;
}

const proxy* proxy_rules::find(const endpoint& server) const {
    const auto& found = server.tls ? for_https_ : for_http_;
    return found && !is_direct(server) ? &*found : nullptr;
}

bool proxy_rules::is_direct(const endpoint& server) const {
    const auto address = address_of(server.host);
    const auto port = ":" + std::to_string(server.port);
    return std::ranges::any_of(direct_, [&](std::string_view rule) {
        if (rule == "*") return true;
        if (address && rule.contains('/')) return is_in_network(*address, rule);
        if (address && address_of(rule) == address) return true;
        // With a port: of that server only. The colons of a bare IPv6 address are none.
        if (rule.ends_with(port) && (rule.starts_with('[') || std::ranges::count(rule, ':') == 1)) {
            rule.remove_suffix(port.size());
            if (address) return address_of(rule) == address;
        }
        return !address && is_below(server.host, rule);
    });
}

}  // namespace keepstore::net
