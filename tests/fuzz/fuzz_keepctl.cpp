// What the operator's tool reads from servers, files and the command line: whatever the bytes, the parsers end, and
// what they accept is what they would write.

#include "keepctl/cluster/block_names.hpp"
#include "keepctl/cluster/checkpoint.hpp"
#include "keepctl/cluster/place.hpp"
#include "keepctl/cluster/scrub_report.hpp"
#include "keepctl/cluster/server_status.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace keepstore::keepctl;

namespace {

void expect(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto mounts = parse_mounts(text, "http://keep0")) {
        for (const auto& m : *mounts) expect(!m.uuid.empty() && m.uuid.find_first_of("/?# \r\n") == std::string::npos);
    }
    static_cast<void>(parse_scrubs(text));
    static_cast<void>(parse_reasons(text));
    static_cast<void>(metric_value(text, "a"));
    static_cast<void>(metric_label(text, "a", "b"));
    if (const auto names = parse_block_names(text)) {
        expect(std::ranges::is_sorted(*names) && std::ranges::adjacent_find(*names) == names->end());
        std::string lines;
        for (const auto& name : *names) lines += failure_line({name, 3, "failed", std::string(text.substr(0, 99))});
        const auto again = parse_block_names(lines);
        expect(again && *again == *names);
    }
    if (const auto place = parse_place(text)) expect(place->text == text);
    if (const auto run = decode_run(text, "replicate", "9f0c")) {
        const auto again = decode_run(encode_run(*run, "replicate", "9f0c"), "replicate", "9f0c");
        expect(again && again->done.to_hex() == run->done.to_hex() && again->counts == run->counts);
    }
    return 0;
}
