/// Arbitrary bytes as a chunked body: the decoded content does not depend on the pieces in which it arrives.
#include "net/http/chunk_decoder.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace keepstore::net;

namespace {

struct outcome {
    chunk_decoder::state end;
    std::string body;
    std::size_t taken;

    bool operator==(const outcome&) const = default;
};

outcome decode(std::string_view text, std::size_t step) {
    chunk_decoder decoder;
    std::string body;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::string_view piece = text.substr(at, step);
        std::size_t taken = 0;
        if (decoder.now() == chunk_decoder::state::framing) {
            taken = decoder.take_framing(piece);
            if (taken > piece.size()) std::abort();
        } else if (decoder.now() == chunk_decoder::state::data) {
            taken = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), decoder.data_left()));
            if (taken == 0) std::abort();
            body += piece.substr(0, taken);
            decoder.took_data(taken);
        } else {
            break;
        }
        at += taken;
    }
    if ((decoder.now() == chunk_decoder::state::bad) == decoder.error_text().empty()) std::abort();
    return {decoder.now(), body, at};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const outcome whole = decode(text, size + 1);
    if (decode(text, 1) != whole || decode(text, 7) != whole) std::abort();
    return 0;
}
