/// Arbitrary bytes as a proxy and as no_proxy: a rule or an error without the bytes, and never a proxy for "*".
#include "net/client/proxy.hpp"
#include "net/http/text.hpp"

#include <cstdlib>
#include <string_view>

using namespace keepstore::net;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto line = text.find('\n');
    const auto first = text.substr(0, line);
    const auto second = line == std::string_view::npos ? std::string_view() : text.substr(line + 1);
    const auto rules_of = [&](std::string_view direct) {
        return proxy_rules::from_environment([&](std::string_view name) -> std::optional<std::string> {
            if (name == "http_proxy") return std::string(first);
            if (name == "no_proxy") return std::string(direct);
            return std::nullopt;
        });
    };
    const endpoint servers[] = {{false, "s3.example", 80}, {false, "10.1.2.3", 9000}, {false, "fd00::7", 9000}};
    const auto rules = rules_of(second);
    if (!rules && rules.error().text.empty()) std::abort();
    for (const auto& server : servers) {
        const auto* const via = rules ? rules->find(server) : nullptr;
        if (via && (via->to.host.empty() || via->to.port == 0 || via->to.tls)) std::abort();
        // It goes into a header.
        if (via && !is_header_value(via->authorization)) std::abort();
        if (rules && rules->find({true, server.host, server.port})) std::abort();
        const auto none = rules_of(std::string(second) + ",*");
        if (none && none->find(server)) std::abort();
    }
    return 0;
}
