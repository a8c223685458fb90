#include "router/redact.hpp"

#include "base/log.hpp"

namespace keepstore::router {

std::string redact_text(std::string_view text) {
    // Each piece between question marks is redacted as a path of its own, so that no signature is missed.
    std::string out;
    out.reserve(text.size());
    while (true) {
        const auto end = text.find('?');
        const std::string_view piece = text.substr(0, end);
        // Most paths have neither hint nor escape.
        if (piece.find_first_of("+%") == std::string_view::npos) {
            out += piece;
        } else {
            out += log::redact_target(piece);
        }
        if (end == std::string_view::npos) return out;
        out += '?';
        text.remove_prefix(end + 1);
    }
}

std::string redact_query(std::string_view query) {
    if (query.empty()) return {};
    std::string with_mark = "?";
    with_mark += query;
    return redact_text(log::redact_target(with_mark).substr(1));
}

std::string redact_target(std::string_view target) {
    const auto mark = target.find('?');
    std::string out = redact_text(target.substr(0, mark));
    if (mark != std::string_view::npos) {
        out += '?';
        out += redact_query(target.substr(mark + 1));
    }
    return out;
}

}  // namespace keepstore::router
