/// A keepstore as its clients and administrators see it: the requests of docs/interface.md 2, ours or the Go daemon's.
/// One object for each server; used from the one event loop of the tool.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/listing_loops.hpp"
#include "net/client/http_client.hpp"
#include "protocol/block_fetch.hpp"
#include "protocol/signature.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

/// What the tool may use to speak to servers. Secret, but for the origins.
struct keep_access {
    std::string token;         ///< SystemRootToken; may be empty.
    std::string token_origin;  ///< "--token-file FILE", "SystemRootToken of FILE": for messages.
    std::string management_token;
    protocol::locator_signer signer{{}, std::chrono::hours(336)};
    /// Signed locators need some token. A random one if there is a signing key, so that servers learn none that is good
    /// for anything.
    std::string read_token;
};

/// A response that was read whole.
struct short_response {
    unsigned status = 0;
    std::string body;
    std::optional<std::chrono::sys_seconds> date;
    std::chrono::system_clock::time_point middle{};  ///< Between the request and the head of the response.
};

/// How far the server's clock is ahead of ours. Date has whole seconds, and was written some time between the request
/// and its response: within 1.5 s of our clock in the middle of these it is 0. nullopt: there was no Date.
[[nodiscard]] std::optional<std::chrono::seconds> clock_ahead(const short_response& response);

/// The mounts of a server, and its clock.
struct mounts_response {
    std::vector<mount_info> mounts;
    std::optional<std::chrono::seconds> clock_ahead = {};  ///< Of ours; see clock_ahead().
};

struct stored_block {
    std::string locator;  ///< As the server signed it.
    std::int64_t replicas = 0;
};

class keep_server {
  public:
    /// Client, access and loops must outlive it. `identity` orders servers for a block (protocol/rendezvous.hpp).
    keep_server(const net::client& client, protocol::block_server where, std::string identity,
                const keep_access& access, listing_loops& loops);

    /// "http://host:port".
    [[nodiscard]] const std::string& url() const noexcept { return url_; }
    [[nodiscard]] const std::string& identity() const noexcept { return identity_; }

    /// Sends a request with a short response; any status is a success. `token`: for Authorization, if not empty.
    [[nodiscard]] awaitable<result<short_response>> request(std::string method, std::string target, std::string token,
                                                            deadline until, std::string body = {}) const;

    /// GET /mounts. errc::unauthorized, forbidden: the token; unavailable: it is no keepstore, or does not work now.
    [[nodiscard]] awaitable<result<mounts_response>> mounts(deadline until) const;

    /// The index of one mount, or, without `mount_uuid`, of all. Appends entries of the mount number `mount`. `notes`:
    /// counts those that were left out. `out` and `notes` belong to another thread until it has ended.
    [[nodiscard]] awaitable<result<void>> index(std::string mount_uuid, std::string prefix, std::uint16_t mount,
                                                std::vector<entry>& out, deadline until,
                                                listing_notes* notes = nullptr) const;

    /// Opens the block for reading. Without a size the server is trusted with it. errc::not_found: 404, and nothing
    /// else; forbidden: the signature or the token.
    [[nodiscard]] awaitable<result<protocol::incoming_block>> get(md5_digest name, std::optional<std::uint64_t> size,
                                                                  deadline until) const;
    /// Has the server read and verify its copy. \returns its size; errc::not_found, checksum_mismatch (no good copy).
    [[nodiscard]] awaitable<result<std::uint64_t>> head(md5_digest name, std::optional<std::uint64_t> size,
                                                        deadline until) const;
    /// Stores a block. `classes`: comma-separated, may be empty. errc::checksum_mismatch: the MD5 of the bytes that
    /// came there is not the name; collision.
    [[nodiscard]] awaitable<result<stored_block>> put(md5_digest name, net::body_source& body, std::string classes,
                                                      deadline until) const;

    /// The error of an administrator's request with this status, for the operator.
    [[nodiscard]] error refused(const short_response& response, std::string_view what) const;

    [[nodiscard]] const keep_access& access() const noexcept { return access_; }

  private:
    [[nodiscard]] awaitable<result<void>> read_index(std::string mount_uuid, std::string prefix, std::uint16_t mount,
                                                     std::vector<entry>& out, deadline until,
                                                     listing_notes* notes) const;
    [[nodiscard]] std::string signed_locator(const md5_digest& name, std::optional<std::uint64_t> size) const;

    const net::client& client_;
    const protocol::block_server where_;
    const std::string url_;
    const std::string identity_;
    const keep_access& access_;
    listing_loops& loops_;
};

/// Parses the body of GET /mounts. \returns errc::io_error if it is not that.
[[nodiscard]] result<std::vector<mount_info>> parse_mounts(std::string_view json, const std::string& server);

/// The servers in the order in which clients try them for a block: weight descending.
[[nodiscard]] std::vector<std::size_t> probe_order(const md5_digest& block, std::span<const keep_server> servers);

/// The identity of a server for which only its URL is known: the first 15 hex digits of the MD5 of `url`, which ends
/// with a slash.
[[nodiscard]] std::string identity_of(std::string_view rendezvous_or_url);

}  // namespace keepstore::keepctl
