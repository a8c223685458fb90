/// Which proxy leads to a server: the rules of http_proxy, https_proxy and no_proxy, as AWS's tools read them. A client
/// has none unless its owner gives it some (net/client/http_client.hpp).
///
///     http_proxy=[http://][user:password@]host[:port]     for http servers, with absolute targets
///     https_proxy=...                                     for https servers, through CONNECT
///     no_proxy=localhost,.example.com,10.0.0.0/8,host:8080   or *, for none
///
/// A name in no_proxy stands for itself and everything below it, with or without a dot in front. Constant after
/// construction.
#pragma once

#include "base/error.hpp"
#include "net/http/url.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::net {

struct proxy {
    endpoint to;
    std::string authorization;  ///< Value of Proxy-Authorization; empty: none.

    bool operator==(const proxy&) const = default;
};

class proxy_rules {
  public:
    /// The value of an environment variable; absent and empty are the same.
    using environment = std::function<std::optional<std::string>(std::string_view name)>;

    proxy_rules() = default;  ///< No proxies.
    /// Reads the variables, each in lower case first. \returns errc::bad_request, naming the variable and without its
    /// value, for one that cannot be used.
    [[nodiscard]] static result<proxy_rules> from_environment(const environment& env);

    /// Returns the proxy for this server; null: it is connected to directly.
    [[nodiscard]] const proxy* find(const endpoint& server) const;

  private:
    [[nodiscard]] bool is_direct(const endpoint& server) const;

    std::optional<proxy> for_http_;
    std::optional<proxy> for_https_;
    std::vector<std::string> direct_;  ///< The elements of no_proxy, in lower case.
};

}  // namespace keepstore::net
