#include "reports/running_service.hpp"

#include "base/cancellable.hpp"
#include "net/client/http_client.hpp"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <string_view>

namespace keepstore::reports {
namespace {

/// It is a process of this host.
constexpr std::chrono::seconds answer_wait{3};

awaitable<void> ask(const net::client& client, net::endpoint where, bool& is_keepstore) {
    net::request request;
    request.method = "OPTIONS";
    request.to = std::move(where);
    const auto response = co_await client.send(std::move(request), deadline::in(answer_wait));
    is_keepstore = response && response->status() == 200 &&
                   response->get("Access-Control-Expose-Headers").find("X-Keep-Locator") != std::string_view::npos;
}

}  // namespace

bool answers_as_keepstore(boost::asio::ip::tcp::endpoint where, bool tls) {
    auto address = where.address();
    if (address.is_unspecified()) address = boost::asio::ip::address_v4::loopback();
    const auto client = net::client::make({.tls_insecure = true});
    if (!client) return false;
    asio::io_context context;
    bool is_keepstore = false;
    spawn(context.get_executor(),
          ask(*client, {.tls = tls, .host = address.to_string(), .port = where.port()}, is_keepstore));
    context.run_for(2 * answer_wait);
    return is_keepstore;
}

}  // namespace keepstore::reports
