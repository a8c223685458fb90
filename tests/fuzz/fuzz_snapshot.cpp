/// Any bytes as the files of a snapshot repository: the parsers end, what they accept is written back the same, and an
/// inventory is accepted only if it is, byte for byte, what would be written for its records.
#include "keepctl/snapshot/documents.hpp"
#include "keepctl/snapshot/inventory.hpp"
#include "keepctl/snapshot/repository_place.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <tuple>
#include <vector>

using namespace keepstore;
using namespace keepstore::keepctl;

namespace {

void expect(bool holds) {
    if (!holds) std::abort();
}

template <class Decode>
void check_document(std::string_view text, Decode decode) {
    const auto document = decode(text);
    if (!document) return;
    const auto again = encode(*document);
    const auto twice = decode(again);
    expect(twice && encode(*twice) == again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    static const auto id = *snapshot_id::parse("20261121T031500Z-7f3a9c2e51d04b68");
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    inventory_buffer buffer(size);
    if (size > 0) std::memcpy(buffer.bytes().data(), data, size);
    if (const auto records = buffer.decode({.id = id, .prefix = "", .mounts = 2})) {
        expect(std::ranges::is_sorted(*records, {}, [](const entry& e) { return std::tie(e.block, e.mount); }));
        const inventory written(id, "", {records->begin(), records->end()});
        std::vector<std::byte> bytes(written.size());
        written.copy(0, bytes);
        expect(bytes.size() == size && std::memcmp(bytes.data(), data, size) == 0);
    }
    check_document(text, decode_repository);
    check_document(text, decode_snapshot);
    check_document(text, decode_latest);
    if (const auto place = parse_repository_place(text)) expect(place->text == text);
    return 0;
}
