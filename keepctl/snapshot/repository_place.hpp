/// A repository, as the command line names it. Pure; nothing is opened or contacted.
///
///     file:///absolute/directory
///     s3://bucket[/prefix][?endpoint=URL&region=R&path-style=1&profile=P&ca-file=F]
#pragma once

#include "keepctl/cluster/place.hpp"

#include <expected>
#include <string>
#include <string_view>
#include <variant>

namespace keepstore::keepctl {

struct repository_place {
    struct directory {
        std::string path;  ///< Absolute, without a slash at its end.
    };
    struct bucket {
        bucket_place where;
        std::string prefix;  ///< Empty, or ends with a slash.
    };
    std::string text;  ///< As given; holds no secret.
    std::variant<directory, bucket> where;
};

/// \returns the usage error, which shows the right form. It repeats no part of a URL with user info.
[[nodiscard]] std::expected<repository_place, std::string> parse_repository_place(std::string_view text);

}  // namespace keepstore::keepctl
