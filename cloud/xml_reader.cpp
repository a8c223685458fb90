#include "cloud/xml_reader.hpp"

#include "base/text.hpp"

#include <algorithm>

namespace keepstore::cloud::xml {

xml_document::xml_document(std::string_view body) {
    // A truncated body fails with an end-tag mismatch.
    const auto parsed = doc_.load_buffer(body.data(), body.size(), pugi::parse_default, pugi::encoding_utf8);
    if (parsed) root_ = doc_.document_element();
}

std::string_view local_name(pugi::xml_node node) {
    const std::string_view name = node.name();
    const auto colon = name.find(':');
    return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node child(pugi::xml_node parent, std::string_view name) {
    for (const auto node : parent.children()) {
        if (node.type() == pugi::node_element && local_name(node) == name) return node;
    }
    return {};
}

std::size_t count_children(pugi::xml_node parent, std::string_view name) {
    return static_cast<std::size_t>(
        std::ranges::count_if(parent.children(), [&](pugi::xml_node node) { return local_name(node) == name; }));
}

std::string own_text(pugi::xml_node node) {
    std::string out;
    for (const auto part : node.children()) {
        if (part.type() == pugi::node_pcdata || part.type() == pugi::node_cdata) out += part.value();
    }
    return out;
}

std::string text_of(pugi::xml_node parent, std::string_view name) {
    return own_text(child(parent, name));
}

std::string token_of(pugi::xml_node parent, std::string_view name) {
    return std::string(trim(text_of(parent, name), " \t\r\n"));
}

std::optional<bool> to_boolean(std::string_view text) {
    if (iequals(text, "true") || text == "1") return true;
    if (iequals(text, "false") || text == "0") return false;
    return std::nullopt;
}

std::string_view describe_body(std::string_view body) {
    const auto first = body.find_first_not_of(" \t\r\n\xef\xbb\xbf");
    if (first == std::string_view::npos) return "an empty body";
    const auto start = body.substr(first, 14);
    if (start.starts_with("<!DOCTYPE html") || start.starts_with("<!doctype html") || start.starts_with("<html") ||
        start.starts_with("<HTML")) {
        return "an HTML page instead of XML";
    }
    return start.starts_with("<") ? "truncated or malformed XML" : "a body that is not XML";
}

}  // namespace keepstore::cloud::xml
