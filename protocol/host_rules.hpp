/// Which servers a pull list may name (Keepstore.PullHosts). A list makes this daemon send requests; with these rules a
/// leaked administrator's token cannot make it send them anywhere else. A value type.
#pragma once

#include "base/error.hpp"
#include "net/http/url.hpp"

#include <boost/asio/ip/address.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::protocol {

class host_rules {
  public:
    /// Allows every host, as the Go daemon does.
    host_rules() = default;

    /// Each entry is a host name, an address, either of them with ":port", or a network ("10.1.0.0/16", "fd00::/8"),
    /// which matches servers named by their addresses. Without entries every host is allowed.
    /// \returns errc::bad_request, naming the entry.
    [[nodiscard]] static result<host_rules> parse(const std::vector<std::string>& entries);

    /// Allows no host but those of the entries, also if there are none.
    void restrict() noexcept { any_host_ = false; }

    [[nodiscard]] bool allows(const net::endpoint&) const;

  private:
    struct network {
        boost::asio::ip::address base;  // IPv4 where it is a mapped one.
        unsigned bits = 0;              // At most those of the base.
    };
    struct rule {
        std::string host;                   // In lower case; empty: a network.
        std::optional<std::uint16_t> port;  // Empty: any.
        network net;
    };

    [[nodiscard]] static result<rule> parse_rule(std::string_view entry);
    [[nodiscard]] static bool contains(const network&, const boost::asio::ip::address&);

    bool any_host_ = true;
    std::vector<rule> rules_;
};

}  // namespace keepstore::protocol
