#include "net/client/failure.hpp"

#include <array>
#include <string>

namespace keepstore::net {
namespace {

// In the order of the enumerators, which begin with 1.
constexpr std::array<std::string_view, failure_count> names{"unknown",
                                                            "invalid_request",
                                                            "resolve",
                                                            "connect",
                                                            "tls",
                                                            "certificate",
                                                            "pool_full",
                                                            "closed",
                                                            "no_response",
                                                            "cut_short",
                                                            "malformed",
                                                            "head_too_large",
                                                            "body_too_large",
                                                            "bad_redirect",
                                                            "body_source",
                                                            "wait_timeout",
                                                            "connect_timeout",
                                                            "send_timeout",
                                                            "first_byte_timeout",
                                                            "read_timeout",
                                                            "deadline_passed",
                                                            "cancelled"};
static_assert(names.back() == "cancelled");

class category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "keepstore.net"; }
    std::string message(int value) const override { return std::string(to_string(static_cast<failure>(value))); }
};

}  // namespace

std::string_view to_string(failure f) noexcept {
    const auto i = static_cast<std::size_t>(f);
    return i < names.size() ? names[i] : names.front();
}

const std::error_category& failure_category() noexcept {
    // Never destroyed: errors may be compared while static objects are being destroyed.
    static const category& instance = *new category;
    return instance;
}

}  // namespace keepstore::net
