/// The operations of one container of Azure Blob storage as awaitables. Handles authorisation, expiring tokens, wrong
/// clocks, retries and truncated responses. Knows nothing of blocks of Keep (volumes/azure). Objects are called blobs
/// here, and keys are their names.
///
///     auto info = co_await container.head("abc", until);
///     if (!info && info.error() == errc::not_found) ...                 // By what the caller can do,
///     if (!info && kind_of(info.error()) == error_kind::slow_down) ...  // or by what happened.
///
/// Threads: safe to use from any thread at the same time; a call runs on the executor of the coroutine that awaits it
/// (an io_context with one thread), and so must everything done with an `object_download`, its destruction included.
/// Each event loop has its own connections.
///
/// Deadlines: `until` is for the whole call with all its retries and, for `get`, for reading the body; errc::timeout
/// then. A call that timed out may still take effect. A call fails before its deadline when the next attempt would
/// begin after it. Cancellation: errc::cancelled; the connection is closed, and the request may have taken effect.
///
/// Errors: errc::not_found only if the blob is not there. A missing container, wrong keys or a wrong clock are
/// errc::unavailable with a text that says what to do. See azure/error.hpp. Texts contain no keys, tokens, signatures
/// or names of blobs.
///
/// Retries (cloud/retry.hpp): every operation may be sent more than once. All are idempotent, but a condition may be
/// met by the call's own effect: when the response to a successful request is lost, the next attempt fails with
/// error_kind::precondition, and a caller that must know looks at the blob.
///
/// ETags are without quotes. Every change of a blob, of its metadata as well, gives it a new ETag and Last-Modified.
#pragma once

#include "azure/credentials/authorization.hpp"
#include "azure/error.hpp"
#include "azure/op_stats.hpp"
#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "cloud/call_runner.hpp"
#include "cloud/download.hpp"
#include "cloud/object.hpp"
#include "cloud/retry.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::azure {

using cloud::byte_range;  // Not that of base/.

struct client_options : cloud::connection_options {
    std::string account;
    std::string container;
    /// "https://host[:port][/path]", or a bare host, which means https. Empty: https://ACCOUNT.blob.SUFFIX. With an
    /// emulator the path is the account: "http://127.0.0.1:10000/devstoreaccount1".
    std::string endpoint;
    std::string suffix = "core.windows.net";  ///< Of the cloud: "core.chinacloudapi.cn" and so on.
    /// Of List Blobs alone, which Azure throttles by container (the Go daemon's ListBlobsRetryDelay and
    /// ListBlobsMaxAttempts): after ServerBusy the wait between two attempts, and the number of attempts.
    std::chrono::milliseconds list_retry_delay = std::chrono::seconds(10);
    unsigned list_attempts_max = 12;
};

/// What must hold for a change to be made; error_kind::precondition if it does not.
struct condition {
    std::string if_match = {};                            ///< The blob still has this ETag.
    std::optional<sys_seconds> if_unmodified_since = {};  ///< The blob has not been changed since.
    bool if_absent = false;                               ///< There is no such blob. Of put() and put_block_list().

    [[nodiscard]] bool empty() const noexcept { return if_match.empty() && !if_unmodified_since && !if_absent; }
};

struct put_options {
    /// The MD5 of the whole blob. Of put(): sent as Content-MD5, so that the service refuses other bytes
    /// (error_kind::bad_digest) and stores nothing. The service keeps it and shows it as object_info::content_md5.
    std::optional<md5_digest> md5 = {};
    /// Names are lower-case letters, digits and underscores, a digit not first (Azure accepts identifiers of C# only);
    /// values are printable ASCII without spaces at the ends.
    name_values metadata = {};
    std::string content_type = "application/octet-stream";
    condition only = {};
};

struct put_result {
    std::string etag;           ///< Without quotes.
    sys_seconds last_modified;  ///< By the service's clock.
    /// Date of the response; absent without one.
    std::optional<sys_seconds> date = {};
};

/// What Get Container Properties tells.
struct container_info {
    std::string etag;
    sys_seconds last_modified;
    bool immutable = false;  ///< A retention policy or legal hold: blobs cannot be changed or deleted.
    bool is_public = false;  ///< Its blobs can be read without credentials.
};

class client_core;

struct copy_options {
    /// Only if the source still has this ETag: error_kind::precondition if it does not. Empty: any.
    std::string if_match = {};
    /// The MD5 that the source's content must have: error_kind::bad_digest if it does not.
    std::optional<md5_digest> md5 = {};
};

/// A handle, cheap to copy. Operations are awaited in place or spawned; they take their arguments by value, and the
/// client itself, so it may be destroyed while they run.
class client {
  public:
    /// Makes a client. Reads the certificate authorities; does not touch the network. \returns errc::bad_request, in
    /// plain words, for options that cannot work, and for access tokens without TLS to another host.
    [[nodiscard]] static result<client> make(client_options options, authorization how);

    /// Gets size, ETag, time, MD5 and metadata (Get Blob Properties). A 404 without a code counts as a missing blob
    /// only if the container is known to exist (checked if need be).
    [[nodiscard]] awaitable<result<object_info>> head(this client self, std::string key, deadline until);

    /// Begins to read a blob. error_kind::invalid_range if the range begins at or past the end (so also for the empty
    /// blob). A download that breaks continues with the same blob; if meanwhile only its metadata was changed (same MD5
    /// and size), with the new one.
    [[nodiscard]] awaitable<result<object_download>> get(this client self, std::string key, get_options options,
                                                         deadline until);

    /// Stores a block blob with one request (Put Blob). Success means that the service confirmed it, with an ETag.
    [[nodiscard]] awaitable<result<put_result>> put(this client self, std::string key, upload_body body,
                                                    put_options options, deadline until);

    /// Stores a block of a blob that put_block_list() will make (Put Block). Ids are up to 64 characters of ASCII, all
    /// of one blob equally long. Blocks that are never committed are dropped by the service after a week.
    [[nodiscard]] awaitable<result<void>> put_block(this client self, std::string key, std::string block_id,
                                                    upload_body body, std::optional<md5_digest> md5, deadline until);
    /// Makes a blob from its blocks in this order (Put Block List). The MD5 of the options is stored and not checked.
    [[nodiscard]] awaitable<result<put_result>> put_block_list(this client self, std::string key,
                                                               std::vector<std::string> block_ids, put_options options,
                                                               deadline until);

    /// Replaces all metadata (Set Blob Metadata): renews ETag and Last-Modified, keeps the content.
    [[nodiscard]] awaitable<result<put_result>> set_metadata(this client self, std::string key, name_values metadata,
                                                             condition only, deadline until);

    /// Copies a blob of up to 256 MiB with its metadata to this container, inside the service (Copy Blob From URL).
    /// `from` is the client of the source's container, of this account or another one; what authorises it authorises
    /// the reading: a signature made with its account key for this blob and half an hour, its own signature, or its
    /// token. errc::not_found if there is no source, or the service does not let it be seen; error_kind::access_denied
    /// if it may not be read.
    [[nodiscard]] awaitable<result<put_result>> copy(this client self, client from, std::string from_key,
                                                     std::string to_key, copy_options options, deadline until);

    /// Deletes a blob with its snapshots. Without a condition success also when there was no such blob; with one that
    /// is errc::not_found.
    [[nodiscard]] awaitable<result<void>> del(this client self, std::string key, condition only, deadline until);

    /// Lists one page with metadata, in key order. A page may be empty and not the last one. A page that does not begin
    /// after the previous one is an error (error_kind::unsupported), since such listings never end.
    [[nodiscard]] awaitable<result<list_page>> list(this client self, list_options options, deadline until);

    /// Gets the container's properties: for probes.
    [[nodiscard]] awaitable<result<container_info>> head_container(this client self, deadline until);

    /// Valid while the client lives.
    [[nodiscard]] const op_stats& stats() const noexcept;

    /// The service's clock minus ours, if beyond tolerance.
    [[nodiscard]] std::chrono::seconds clock_skew() const;

  private:
    explicit client(std::shared_ptr<client_core>) noexcept;

    std::shared_ptr<client_core> core_;
};

}  // namespace keepstore::azure
