#include "base/log.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <iterator>

namespace keepstore::log {
namespace {

// Length of the UTF-8 sequence at text[i], 0 if it is not one.
std::size_t utf8_length(std::string_view text, std::size_t i) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
    const unsigned first = byte(i);
    std::size_t length = 0;
    if (first >= 0xc2 && first <= 0xdf)
        length = 2;
    else if (first >= 0xe0 && first <= 0xef)
        length = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        length = 4;
    else
        return 0;
    if (i + length > text.size()) return 0;
    for (std::size_t k = 1; k < length; ++k)
        if ((byte(i + k) & 0xc0) != 0x80) return 0;
    const unsigned second = byte(i + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f))
        return 0;
    return length;
}

}  // namespace

void append_json_escaped(std::string& out, std::string_view text) {
    std::size_t plain_from = 0;
    for (std::size_t i = 0; i < text.size();) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            ++i;
            continue;
        }
        const std::size_t sequence = c >= 0x80 ? utf8_length(text, i) : 0;
        if (sequence != 0) {
            i += sequence;
            continue;
        }
        out.append(text, plain_from, i - plain_from);
        switch (c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                if (c >= 0x80) {
                    out += "\\ufffd";
                } else {
                    fmt::format_to(std::back_inserter(out), FMT_COMPILE("\\u{:04x}"), c);
                }
        }
        ++i;
        plain_from = i;
    }
    out.append(text, plain_from);
}

std::string redact_target(std::string_view target) {
    std::string out;
    out.reserve(target.size());
    const auto query_at = target.find('?');
    const std::string_view path = target.substr(0, query_at);
    std::size_t i = 0;
    while (i < path.size()) {
        // A permission hint, "+A" + signature "@" expiry, ends at the next hint. Percent-encoded plus signs count too.
        const bool plain = path[i] == '+';
        const bool encoded = path.substr(i, 3) == "%2b" || path.substr(i, 3) == "%2B";
        const std::size_t mark = plain ? 1 : encoded ? 3 : 0;
        if (mark && i + mark < path.size() &&
            (path[i + mark] == 'A' || path[i + mark] == 'R' || path[i + mark] == '%')) {
            out += path.substr(i, mark);
            out += path[i + mark] == '%' ? 'A' : path[i + mark];
            out += "***";
            i += mark + 1;
            while (i < path.size() && path[i] != '+' && path[i] != '/') {
                if (path.substr(i, 3) == "%2b" || path.substr(i, 3) == "%2B") break;
                ++i;
            }
            continue;
        }
        out += path[i++];
    }
    if (query_at == std::string_view::npos) return out;
    out += '?';
    std::string_view query = target.substr(query_at + 1);
    bool first = true;
    while (!query.empty() || first) {
        const auto end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        if (!first) out += '&';
        first = false;
        const auto equals = pair.find('=');
        const std::string_view key = pair.substr(0, equals);
        // Any name that could be api_token, percent-encoded letters included, loses its value.
        const bool secret = key.find("token") != std::string_view::npos || key.find('%') != std::string_view::npos;
        if (equals != std::string_view::npos && secret) {
            out += key;
            out += "=***";
        } else {
            out += pair;
        }
        if (end == std::string_view::npos) break;
        query.remove_prefix(end + 1);
    }
    return out;
}

}  // namespace keepstore::log
