#include "protocol/host_rules.hpp"

#include "base/text.hpp"

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

// The bytes of an address; of an IPv4-mapped IPv6 address those of the IPv4 address.
std::vector<unsigned char> bytes_of(const ip::address& a) {
    if (a.is_v6() && a.to_v6().is_v4_mapped()) {
        const auto b = ip::make_address_v4(ip::v4_mapped, a.to_v6()).to_bytes();
        return {b.begin(), b.end()};
    }
    if (a.is_v4()) {
        const auto b = a.to_v4().to_bytes();
        return {b.begin(), b.end()};
    }
    const auto b = a.to_v6().to_bytes();
    return {b.begin(), b.end()};
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
        unsigned bits = *length;
        if (base->is_v6() && base->to_v6().is_v4_mapped()) {
            // IPv4-mapped addresses are compared as IPv4.
            if (bits < mapped_prefix_bits)
                return fail(errc::bad_request,
                            "\"" + std::string(entry) +
                                "\" is a network of IPv4 addresses and others; write it as IPv4, such as "
                                "10.1.0.0/16");
            return rule{
                .host = {},
                .port = {},
                .net = {.base = ip::make_address_v4(ip::v4_mapped, base->to_v6()), .bits = bits - mapped_prefix_bits}};
        }
        return rule{.host = {}, .port = {}, .net = {.base = *base, .bits = bits}};
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
    const auto base = bytes_of(n.base);
    const auto other = bytes_of(a);
    if (base.size() != other.size()) return false;
    for (unsigned bit = 0; bit < n.bits; ++bit) {
        const unsigned mask = 0x80u >> (bit % 8);
        if ((base[bit / 8] & mask) != (other[bit / 8] & mask)) return false;
    }
    return true;
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
