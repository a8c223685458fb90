/// Arbitrary bytes as the head of a response, and its Location as a URL: nothing is read outside the text, and the
/// framing of the body of an accepted head is unambiguous.
#include "net/client/response_head.hpp"
#include "net/http/head_scanner.hpp"
#include "net/http/text.hpp"
#include "net/http/url.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

using namespace keepstore;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view all(reinterpret_cast<const char*>(data), size);
    net::head_scanner at_once;
    net::head_scanner by_byte;
    using state = net::head_scanner::state;
    const auto outcome = at_once.scan(all);
    auto found = state::incomplete;
    for (std::size_t n = 1; n <= size && found == state::incomplete; ++n) found = by_byte.scan(all.substr(0, n));
    if (outcome != found) std::abort();
    if (outcome != state::malformed && at_once.length() != by_byte.length()) std::abort();
    const bool whole = outcome == state::complete;

    const std::string text(all.substr(0, at_once.length()));
    net::response_head head;
    if (net::parse_response_head(text, head)) {
        if (!whole || head.status < 100 || head.status > 999) std::abort();
        if (head.chunked && head.content_length) std::abort();
        for (const auto& h : head.headers) {
            if (h.value.data() < text.data() || h.value.data() + h.value.size() > text.data() + text.size())
                std::abort();
            if (!net::is_token(h.name) || !net::is_header_value(h.value)) std::abort();
        }
    }
    const net::url base{{true, "a", 443}, "/dir/file"};
    if (const auto to = net::resolve_location(base, all)) {
        if (to->to.host.empty() || to->to.port == 0 || !net::is_target(to->target) || to->target.front() != '/')
            std::abort();
        const auto again = net::parse_url(net::to_string(to->to) + to->target);
        if (!again || again->to != to->to || again->target != to->target) std::abort();
    }
    return 0;
}
