/// How a service differs from the others where its client uses shared code: its name in texts, its headers, its errors.
#pragma once

#include "base/error.hpp"
#include "cloud/error.hpp"

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace keepstore::cloud {

/// An operation, by its position in the texts of the statistics: made from the service's own enumeration.
struct operation_id {
    std::size_t position;

    template <class Operation>
        requires std::is_enum_v<Operation>
    constexpr operation_id(Operation op) noexcept : position(static_cast<std::size_t>(op)) {}

    [[nodiscard]] friend constexpr bool operator==(operation_id, operation_id) noexcept = default;
};

/// Constants of a client; they live as long as the program.
struct service_traits {
    std::string_view name;             ///< "S3", in texts for the operator.
    std::string_view header_prefix;    ///< "x-amz-": only responses of the service have such headers.
    std::string_view metadata_prefix;  ///< "x-amz-meta-"
    std::string_view request_id;       ///< "x-amz-request-id"
    operation_id get;
    operation_id get_range;
    operation_id head;  ///< Of an object.
    /// Makes an error with the advice in the service's terms.
    error (*make_error)(error_kind kind, std::string_view detail);
};

}  // namespace keepstore::cloud
