/// Typed requests and responses of the store, independent of HTTP.
#pragma once

#include "base/byte_range.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "protocol/locator.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::store {

struct block_read_request {
    protocol::locator block;
    /// The first token of the request (docs/interface.md 2.5), verbatim; empty string counts as none.
    std::string token;
    bool has_token = false;
    deadline until;
    std::string request_id = {};  ///< For the log.
    /// Verifies, and sends nothing (begin() is called, write() is not).
    bool head = false;
    /// Sends only this range. Resolved against the block's size once it is known.
    std::optional<byte_range_spec> range = {};
};

struct block_write_request {
    md5_digest hash;
    std::string path_text;                     ///< The block as named in the path, for the error text.
    std::vector<std::string> storage_classes;  ///< As requested; empty: any volume. Duplicates collapse.
    std::string token;
    deadline until;
};

struct block_write_response {
    std::string locator;  ///< `hash+size`, signed for the token when there is a key.
    int replicas = 0;     ///< Sum of the replication of the volumes used.
    /// All classes of the volumes used, with replicas (docs/interface.md 2.12, 8.2).
    std::map<std::string, int> storage_classes;
};

}  // namespace keepstore::store
