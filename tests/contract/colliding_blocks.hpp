/// Two blocks with one MD5: the pair of Wang, Feng, Lai and Yu (2004), as in the Go daemon's tests.
#pragma once

#include "tests/contract/volume_harness.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::test {

inline std::pair<bytes, bytes> colliding_blocks() {
    const auto from_hex = [](std::string_view hex) {
        bytes out;
        for (std::size_t i = 0; i < hex.size(); i += 2) {
            out.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
        }
        return out;
    };
    return {from_hex("d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a"
                     "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
                     "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"),
            from_hex("d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a"
                     "085125e8f7cdc99fd91dbd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0"
                     "e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70")};
}

}  // namespace keepstore::test
