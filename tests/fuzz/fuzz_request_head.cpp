/// Arbitrary bytes as a request head: parse_head does not crash, and accepted heads are unambiguous.
#include "net/http/head_scanner.hpp"
#include "net/server/head_parser.hpp"

#include <cstdlib>
#include <string_view>

using namespace keepstore;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    net::head_scanner scanner;
    const auto found = scanner.scan(text);
    net::parsed_head parsed;
    const auto refusal = net::parse_head(text, parsed);
    if (refusal) {
        if (refusal->status < 400 || refusal->body.find('\n') != std::string::npos) std::abort();
        return 0;
    }
    const auto& head = parsed.head;
    const bool whole = found == net::head_scanner::state::complete && scanner.length() == size;
    const bool framed_once = !(head.chunked && head.content_length);
    const bool clean = head.target.find_first_of("\r\n #") == std::string::npos && !head.path.empty();
    if (!whole || !framed_once || !clean) std::abort();
    return 0;
}
