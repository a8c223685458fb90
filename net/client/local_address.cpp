#include "net/client/local_address.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace keepstore::net {
namespace {

using bytes_v6 = boost::asio::ip::address_v6::bytes_type;

struct network {
    bytes_v6 base;
    std::size_t bytes;  ///< Of the prefix.
};

bool within(const bytes_v6& a, const network& n) {
    return std::equal(a.begin(), a.begin() + n.bytes, n.base.begin());
}

constexpr network mapped{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 12};
constexpr network compatible{{}, 12};
constexpr network nat64{{0, 0x64, 0xff, 0x9b}, 12};
constexpr network six_to_four{{0x20, 0x02}, 2};

constexpr std::array<network, 3> metadata{{
    {{0xfd, 0x00, 0x0e, 0xc2}, 4},
    {{0xfd, 0x20, 0x00, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 16},
    {{0xfd, 0x00, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 0xa9, 0xfe, 0xa9, 0xfe}, 16},
}};

std::uint32_t number_at(const bytes_v6& a, std::size_t at) {
    return std::uint32_t{a[at]} << 24 | std::uint32_t{a[at + 1]} << 16 | std::uint32_t{a[at + 2]} << 8 | a[at + 3];
}

/// The IPv4 address that an IPv6 one stands for.
std::optional<std::uint32_t> embedded(const bytes_v6& a) {
    if (within(a, six_to_four)) return number_at(a, 2);
    if (within(a, mapped) || within(a, compatible) || within(a, nat64)) return number_at(a, 12);
    return std::nullopt;
}

bool is_link_local(std::uint32_t v4) {
    return v4 >> 16 == 0xa9fe || v4 == 0x646464c8 || v4 == 0xa83f8110;
}

}  // namespace

bool is_link_local(const boost::asio::ip::address& a) noexcept {
    if (a.is_v4()) return is_link_local(a.to_v4().to_uint());
    const bytes_v6 bytes = a.to_v6().to_bytes();
    if (const auto v4 = embedded(bytes)) return is_link_local(*v4);
    return (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) ||
           std::ranges::any_of(metadata, [&](const network& n) { return within(bytes, n); });
}

}  // namespace keepstore::net
