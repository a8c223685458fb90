/// A place, as the command line names it: where blocks are. Pure; nothing is opened or contacted.
///
///     keep:http[s]://host:port[#UUID]   one server by its HTTP interface, or one of its mounts
///     cluster                           all servers of the configuration, or of --server
///     volume:UUID                       a volume of the configuration, opened directly
///     dir:/abs/path                     the root of a Directory volume
///     s3://bucket[?endpoint=URL&region=R&prefix-length=N&path-style=1&profile=P&ca-file=F]
#pragma once

#include "protocol/block_fetch.hpp"

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <variant>

namespace keepstore::keepctl {

struct server_place {
    protocol::block_server server;
    std::string mount_uuid;  ///< Empty: all of its mounts.
};
struct cluster_place {};
struct volume_place {
    std::string uuid;
};
struct directory_place {
    std::string path;
};
struct bucket_place {
    std::string bucket;
    std::string endpoint;  ///< Empty: Amazon S3 in `region`.
    std::string region;
    std::size_t prefix_length = 0;
    bool path_style = false;
    std::string profile;  ///< Of AWS's shared files; empty: the chain of docs/s3.md.
    std::string ca_file;
};

struct place {
    std::string text;  ///< As given; holds no secret.
    std::variant<server_place, cluster_place, volume_place, directory_place, bucket_place> where;
};

/// \returns the usage error, which shows the right form. It repeats no part of a URL with user info.
[[nodiscard]] std::expected<place, std::string> parse_place(std::string_view text);

}  // namespace keepstore::keepctl
