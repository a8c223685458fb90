/// JSON values from text and back, and fields of objects that others sent. The parser and the serializer are compiled
/// once, in json.cpp: as templates in a header they would be in each unit that uses them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore {

/// Parses a document. \returns a value that is_discarded() if it is malformed.
[[nodiscard]] nlohmann::json parse_json(std::string_view text);
/// The same; fields keep their order.
[[nodiscard]] nlohmann::ordered_json parse_ordered_json(std::string_view text);

/// One line without spaces or, with an `indent`, several lines. Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string json_to_text(const nlohmann::json& value, int indent = -1);
[[nodiscard]] std::string json_to_text(const nlohmann::ordered_json& value, int indent = -1);

/// The text of this field; empty if it is missing, or something else than a text. Json is nlohmann::json or
/// ordered_json.
template <class Json>
[[nodiscard]] std::string json_text(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->template get<std::string>() : std::string();
}

/// The number of this field; nullopt if it is missing, or something else than a whole number from 0 on.
template <class Json>
[[nodiscard]] std::optional<std::uint64_t> json_number(const Json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
    return found->template get<std::uint64_t>();
}

}  // namespace keepstore
