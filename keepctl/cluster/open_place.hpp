/// Opens the places of a command line.
#pragma once

#include "cluster_config/config.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/keep_server.hpp"
#include "keepctl/cluster/place.hpp"
#include "net/client/http_client.hpp"

#include <expected>
#include <memory>
#include <string>
#include <vector>

namespace keepstore::volumes {
struct s3_options;
}

namespace keepstore::keepctl {

/// What places are opened with. All of it outlives them.
struct place_context {
    const net::client& client;
    const keep_access& access;
    listing_loops& loops;
    const cluster_config::config* config = nullptr;                 ///< None: `volume:` cannot be opened.
    std::vector<std::pair<std::string, std::string>> servers = {};  ///< URL and identity, for `cluster`.
};

struct place_use {
    bool writes = false;
    std::string classes = {};
    std::int64_t copies = 1;  ///< Replicas of each block in `cluster`.
};

/// Servers and buckets are not contacted here, but by block_place::connect. Looks at directories, so it may block.
/// \returns the line for the operator.
[[nodiscard]] std::expected<std::unique_ptr<block_place>, std::string> open_place(const place&, const place_context&,
                                                                                  const place_use&);

/// The servers of `cluster`. \returns the line for the operator if there is none.
[[nodiscard]] std::expected<std::vector<keep_server>, std::string> servers_of(const place_context&);

/// The options of the S3 driver for a bucket that a command line names. `policy` says what is protected and for how
/// long; `writes`: blocks are stored there.
[[nodiscard]] volumes::s3_options bucket_options(const bucket_place& bucket,
                                                 const cluster_config::collections_config& policy, bool writes);

/// Why both are the same storage; empty if they are not. After connect() of both.
[[nodiscard]] std::string same_storage(const place& a, const block_place& opened_a, const place& b,
                                       const block_place& opened_b);

}  // namespace keepstore::keepctl
