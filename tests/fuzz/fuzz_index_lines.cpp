/// Any bytes as an index: the pieces in which they arrive do not matter, and what is accepted is written back the same.
#include "protocol/index_lines.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

using namespace keepstore;

namespace {

using lines = std::vector<protocol::index_line>;

std::optional<lines> parse(std::string_view text, std::size_t piece) {
    protocol::index_parser parser;
    lines out;
    for (std::size_t at = 0; at < text.size(); at += piece)
        if (!parser.parse(text.substr(at, piece), out)) return std::nullopt;
    if (!parser.expect_end()) return std::nullopt;
    return out;
}

// Times of the first minutes of 1970 are read back as seconds.
bool survives(const protocol::index_line& line) {
    return line.mtime >= 1'000'000'000'000 || line.mtime <= -1'000'000'000'000;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto whole = parse(text, std::max<std::size_t>(size, 1));
    for (const std::size_t piece : {1u, 7u, 64u})
        if (parse(text, piece) != whole) std::abort();
    if (!whole) return 0;
    if (!text.ends_with(protocol::index_end)) std::abort();
    std::string again;
    for (const auto& line : *whole) protocol::append_index_line(again, line);
    again += protocol::index_end;
    const auto twice = parse(again, 4096);
    if (!twice || twice->size() != whole->size()) std::abort();
    for (std::size_t i = 0; i < whole->size(); ++i)
        if (survives((*whole)[i]) && (*twice)[i] != (*whole)[i]) std::abort();
    return 0;
}
