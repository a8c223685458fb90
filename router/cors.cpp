#include "router/cors.hpp"

namespace keepstore::router {

void set_cors_headers(net::server_exchange& ex) {
    ex.set_header("Access-Control-Allow-Origin", "*");
    ex.set_header("Access-Control-Allow-Methods", "GET, HEAD, PUT, OPTIONS");
    ex.set_header("Access-Control-Allow-Headers",
                  "Authorization, Content-Length, Content-Type, X-Keep-Desired-Replicas, X-Keep-Signature, "
                  "X-Keep-Storage-Classes");
    ex.set_header("Access-Control-Expose-Headers",
                  "X-Keep-Locator, X-Keep-Replicas-Stored, X-Keep-Storage-Classes-Confirmed");
    ex.set_header("Access-Control-Max-Age", "86486400");
}

}  // namespace keepstore::router
