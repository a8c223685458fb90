#include "net/server/reason_phrase.hpp"

#include <algorithm>
#include <array>

namespace keepstore::net {
namespace {

struct phrase {
    unsigned status;
    std::string_view text;
};

// The statuses that the router and the server give, the frequent ones first.
constexpr std::array phrases{phrase{200, "OK"},
                             phrase{206, "Partial Content"},
                             phrase{301, "Moved Permanently"},
                             phrase{400, "Bad Request"},
                             phrase{401, "Unauthorized"},
                             phrase{403, "Forbidden"},
                             phrase{404, "Not Found"},
                             phrase{405, "Method Not Allowed"},
                             phrase{408, "Request Timeout"},
                             phrase{413, "Request Entity Too Large"},
                             phrase{416, "Requested Range Not Satisfiable"},
                             phrase{417, "Expectation Failed"},
                             phrase{431, "Request Header Fields Too Large"},
                             phrase{500, "Internal Server Error"},
                             phrase{501, "Not Implemented"},
                             phrase{502, "Bad Gateway"},
                             phrase{503, "Service Unavailable"},
                             phrase{505, "HTTP Version Not Supported"},
                             phrase{507, "Insufficient Storage"}};

}  // namespace

std::string_view reason_phrase(unsigned status) noexcept {
    const auto found = std::ranges::find(phrases, status, &phrase::status);
    return found == phrases.end() ? std::string_view() : found->text;
}

}  // namespace keepstore::net
