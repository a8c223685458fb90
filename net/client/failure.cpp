#include "net/client/failure.hpp"

#include <string>

namespace keepstore::net {
namespace {

class category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "keepstore.net"; }
    std::string message(int value) const override { return std::string(to_string(static_cast<failure>(value))); }
};

}  // namespace

std::string_view to_string(failure f) noexcept {
    switch (f) {
        case failure::invalid_request:
            return "invalid_request";
        case failure::resolve:
            return "resolve";
        case failure::connect:
            return "connect";
        case failure::tls:
            return "tls";
        case failure::certificate:
            return "certificate";
        case failure::pool_full:
            return "pool_full";
        case failure::closed:
            return "closed";
        case failure::no_response:
            return "no_response";
        case failure::cut_short:
            return "cut_short";
        case failure::malformed:
            return "malformed";
        case failure::head_too_large:
            return "head_too_large";
        case failure::body_too_large:
            return "body_too_large";
        case failure::bad_redirect:
            return "bad_redirect";
        case failure::body_source:
            return "body_source";
        case failure::wait_timeout:
            return "wait_timeout";
        case failure::connect_timeout:
            return "connect_timeout";
        case failure::send_timeout:
            return "send_timeout";
        case failure::first_byte_timeout:
            return "first_byte_timeout";
        case failure::read_timeout:
            return "read_timeout";
        case failure::deadline_passed:
            return "deadline_passed";
        case failure::cancelled:
            return "cancelled";
    }
    return "unknown";
}

const std::error_category& failure_category() noexcept {
    // Never destroyed: errors may be compared while static objects are being destroyed.
    static const category& instance = *new category;
    return instance;
}

}  // namespace keepstore::net
