#include "protocol/host_rules.hpp"

#include "base/text.hpp"

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include <algorithm>

namespace keepstore::protocol {
namespace {

namespace ip = boost::asio::ip;

// "::ffff:" before an IPv4 address.
constexpr unsigned mapped_prefix_bits = 96;

std::optional<ip::address> address_in(std::string_view text) {
    boost::system::error_code malformed;
    const auto parsed = ip::make_address(std::string(text), malformed);
    if (malformed) return std::nullopt;
    return parsed;
}

// IPv4-mapped addresses are compared as IPv4.
ip::address unmapped(const ip::address& a) {
    return a.is_v6() && a.to_v6().is_v4_mapped() ? ip::make_address_v4(ip::v4_mapped, a.to_v6()) : a;
}

}  // namespace

result<host_rules> host_rules::parse(const std::vector<std::string>& entries) {
    host_rules out;
    for (const auto& entry : entries) {
        KS_TRY(auto parsed, parse_rule(entry));
        out.rules_.push_back(std::move(parsed));
        out.restrict();
    }
    return out;
}

result<host_rules::rule> host_rules::parse_rule(std::string_view entry) {
    const auto wrong = [&] {
        return fail(errc::bad_request,
                    "\"" + std::string(entry) +
                        "\" is not a host; expected a name, an address, either with :port, or a network such "
                        "as 10.1.0.0/16");
    };
    if (const auto slash = entry.find('/'); slash != std::string_view::npos) {
        const auto base = address_in(entry.substr(0, slash));
        const auto length = parse_number<unsigned>(entry.substr(slash + 1));
        if (!base || !length || *length > (base->is_v4() ? 32u : 128u)) return wrong();
        const auto plain = unmapped(*base);
        const unsigned cut = plain.is_v4() == base->is_v4() ? 0 : mapped_prefix_bits;
        if (*length < cut)
            return fail(errc::bad_request,
                        "\"" + std::string(entry) +
                            "\" is a network of IPv4 addresses and others; write it as IPv4, such as 10.1.0.0/16");
        return rule{.host = {}, .port = {}, .net = {.base = plain, .bits = *length - cut}};
    }
    // An IPv6 address without brackets has more than one colon, and no port.
    const bool bare_v6 = std::ranges::count(entry, ':') > 1 && !entry.starts_with('[');
    const std::string text = bare_v6 ? "http://[" + std::string(entry) + "]" : "http://" + std::string(entry);
    const auto parsed = net::parse_url(text);
    if (!parsed || parsed->target != "/" || text.ends_with('/')) return wrong();
    const auto colon = bare_v6 ? std::string_view::npos : entry.rfind(':');
    const bool has_port = colon != std::string_view::npos && entry.find(']', colon) == std::string_view::npos;
    rule out{.host = parsed->to.host, .port = {}, .net = {}};
    if (has_port) out.port = parsed->to.port;
    return out;
}

bool host_rules::contains(const network& n, const ip::address& a) {
    const auto other = unmapped(a);
    const auto bits = static_cast<unsigned short>(n.bits);
    if (n.base.is_v4() != other.is_v4()) return false;
    if (other.is_v4())
        return ip::make_network_v4(n.base.to_v4(), bits).network() ==
               ip::make_network_v4(other.to_v4(), bits).network();
    // A scope is no part of the comparison.
    return ip::make_network_v6(n.base.to_v6(), bits).network().to_bytes() ==
           ip::make_network_v6(other.to_v6(), bits).network().to_bytes();
}

bool host_rules::allows(const net::endpoint& to) const {
    if (any_host_) return true;
    const auto address = address_in(to.host);
    return std::ranges::any_of(rules_, [&](const rule& r) {
        if (r.host.empty()) return address && contains(r.net, *address);
        if (r.port && *r.port != to.port) return false;
        return r.host == to.host;
    });
}

}  // namespace keepstore::protocol
