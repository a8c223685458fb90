/// Link-local addresses, among them the metadata services of clouds, which give out credentials. A pure function.
#pragma once

#include <boost/asio/ip/address.hpp>

namespace keepstore::net {

/// Whether it is one of 169.254.0.0/16 (all big clouds) and fe80::/10; the metadata services of Amazon (fd00:ec2::/32),
/// Google (fd20:ce::254), Oracle (fd00:c1::a9fe:a9fe), Alibaba (100.100.100.200) and Azure (168.63.129.16). IPv6
/// addresses that stand for one of these IPv4 addresses count as it: mapped, compatible, NAT64 (64:ff9b::/96) and 6to4
/// (2002::/16). Bytes are compared, so the scope of an address makes no difference.
[[nodiscard]] bool is_link_local(const boost::asio::ip::address&) noexcept;

}  // namespace keepstore::net
