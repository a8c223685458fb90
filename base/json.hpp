/// Fields of JSON objects that others sent. Templates, so that this room needs no JSON library: Json is nlohmann::json
/// or ordered_json.
#pragma once

#include <string>

namespace keepstore {

/// The text of this field; empty if it is missing, or something else than a text.
template <class Json>
[[nodiscard]] std::string json_text(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->template get<std::string>() : std::string();
}

}  // namespace keepstore
