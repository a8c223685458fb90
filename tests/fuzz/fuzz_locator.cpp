/// Arbitrary bytes as a locator: an accepted one keeps its text, and its bare form names the same block.
#include "base/limits.hpp"
#include "protocol/locator.hpp"

#include <cstdlib>
#include <string_view>

using namespace keepstore;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto parsed = protocol::locator::parse(text);
    if (!parsed) return 0;
    if (parsed->text != text || !text.starts_with(parsed->hash.hex())) std::abort();
    if (parsed->size && *parsed->size > limits::block_size_bytes_max) std::abort();
    const auto again = protocol::locator::parse(parsed->bare());
    if (!again || again->hash != parsed->hash || again->size != parsed->size) std::abort();
    if (again->signed_here || again->remote) std::abort();
    return 0;
}
