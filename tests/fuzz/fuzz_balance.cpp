// What balance reads from files and servers: references, rules, the last run, work reports. Whatever the bytes, the
// parsers end; pieces of any size give the same; and of references nothing is accepted that does not end as it must.

#include "keepctl/balance/last_run.hpp"
#include "keepctl/balance/references.hpp"
#include "keepctl/balance/rules.hpp"
#include "keepctl/cluster/server_work.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

using namespace keepstore::keepctl;

namespace {

void expect(bool holds) {
    if (!holds) std::abort();
}

bool read_references(std::string_view text, std::size_t piece, std::vector<balance::reference>& out) {
    balance::reference_names names;
    balance::reference_parser parser(names, 1);
    for (std::size_t at = 0; at < text.size(); at += piece) {
        if (!parser.parse(text.substr(at, piece), out)) return false;
    }
    return parser.expect_end().has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::vector<balance::reference> whole;
    std::vector<balance::reference> pieces;
    const bool taken = read_references(text, size + 1, whole);
    expect(read_references(text, 3, pieces) == taken);
    if (taken) {
        expect(whole == pieces);
        expect(text == "\n" || text.ends_with("\n\n"));
        for (const auto& r : whole) expect(text.find(r.block.hex()) != std::string_view::npos);
    }
    static_cast<void>(balance::parse_rules(text, {}));
    if (const auto run = balance::decode_last_run(text))
        expect(balance::decode_last_run(balance::encode_last_run(*run)).has_value());
    static_cast<void>(parse_work(text));
    static_cast<void>(work_of_metrics(text));
    return 0;
}
