/// A header field of a request or a response.
#pragma once

#include <string>

namespace keepstore::net {

struct header {
    std::string name;
    std::string value;
};

}  // namespace keepstore::net
