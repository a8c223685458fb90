#include "cloud/environment.hpp"

#include <cstdlib>

namespace keepstore::cloud {

environment process_environment() {
    return [](std::string_view name) -> std::optional<std::string> {
        const char* value = std::getenv(std::string(name).c_str());
        if (!value || !*value) return std::nullopt;
        return std::string(value);
    };
}

}  // namespace keepstore::cloud
