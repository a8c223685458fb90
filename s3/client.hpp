/// The operations of one S3 bucket as awaitables. Everything that makes S3 awkward is done here and only here: signing,
/// credentials that expire, buckets that are in another region, clocks that are wrong, errors that come inside a 200,
/// retries, answers that are cut off. What a block is, is not known here (volumes/s3).
///
///     auto info = co_await bucket.head("abc", until);
///     if (!info && info.error() == errc::not_found) ...           // What the caller can do about it.
///     if (!info && kind_of(info.error()) == error_kind::slow_down) ...  // What happened, in S3's words.
///
/// Threads: safe to use from any thread at the same time; a call runs on the executor of the coroutine that awaits it
/// (an io_context with one thread), and so must everything done with an `object_download`, its destruction included.
/// Each event loop has its own connections.
///
/// Deadlines: `until` is for the whole call with all its retries and, for `get`, for the reading of the body;
/// errc::timeout then. A call that timed out may still have happened. Without retries pending a call gives up early
/// rather than wait for a deadline that a further attempt could not meet. Cancellation: errc::cancelled; the connection
/// is closed, and what was asked may have happened.
///
/// Errors: errc::not_found only if the object is not there. A missing bucket, wrong keys, a wrong region or clock are
/// errc::unavailable with a text that says what to do. See s3/error.hpp. Texts hold no keys, no signatures, no object
/// names.
///
/// Retries (s3/retry.hpp): every operation may be sent more than once. All are idempotent but `create_multipart`, whose
/// lost answer leaves an upload that a lifecycle rule (or list_uploads and abort_multipart) has to remove.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"
#include "base/md5_digest.hpp"
#include "net/client/http_client.hpp"
#include "s3/client_stats.hpp"
#include "s3/credentials/credentials.hpp"
#include "s3/error.hpp"
#include "s3/retry.hpp"
#include "s3/xml.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::s3 {

struct client_options {
    /// "https://host[:port][/path]", or a bare host, which means https. Empty: Amazon's endpoint of `region`.
    std::string endpoint;
    std::string region;  ///< For signing, and Amazon's endpoint. Empty: us-east-1 (docs/interface.md 1.9).
    std::string bucket;
    /// host/bucket/key instead of bucket.host/key. Used whatever this says for addresses instead of names, and for
    /// buckets that cannot be part of a host name (or, with TLS, have dots: certificates do not cover them).
    bool path_style = false;
    std::chrono::milliseconds connect_timeout = limits::s3_connect_timeout;
    /// From the request's last byte to the answer's first, and the longest pause in a body.
    std::chrono::milliseconds read_timeout = limits::s3_read_timeout;
    /// Connections of one event loop; further requests wait for one, until their deadline.
    unsigned connections_max = limits::net_connections_max;
    /// PUTs of at least this size ask first (Expect: 100-continue), so that a refusal costs no upload. 0: never.
    std::uint64_t expect_continue_bytes_min = 0;
    bool list_v1 = false;  ///< ListObjects instead of ListObjectsV2, for services without it.
    std::string ca_file;   ///< PEM with the authorities to trust; empty: the system's.
    bool tls_insecure = false;
    retry_options retry;

    // For tests.
    std::vector<std::pair<std::string, std::string>> hosts;  ///< Names with fixed addresses.
    wall_clock now = system_wall_clock();
};

/// What is known of an object. User metadata has lower-case names without "x-amz-meta-".
struct object_info {
    std::uint64_t size = 0;  ///< Of the whole object, also when a range was asked for.
    std::string etag;        ///< Without quotes. The MD5 for single PUTs without KMS encryption; with a '-' never.
    sys_seconds last_modified;
    name_values metadata;

    /// The value of a metadata entry, nullopt if there is none.
    [[nodiscard]] std::optional<std::string_view> find_metadata(std::string_view name) const;
    /// The ETag if it has the form of an MD5.
    [[nodiscard]] std::optional<md5_digest> etag_as_md5() const;
};

struct byte_range {
    std::uint64_t offset = 0;
    /// Absent: to the end.
    std::optional<std::uint64_t> length = {};
};

struct get_options {
    std::optional<byte_range> range = {};
    /// Only if the object still has this ETag (error_kind::precondition otherwise): for several ranges of one object.
    std::string if_match;
};

/// A body to send: slices, which can be sent again at will, or a source, which is sent again only if it can be rewound
/// or gave no more than its first piece so far (a share in it is kept until the second is asked for). The source stays
/// the caller's and must live until the call has returned.
struct upload_body {
    std::vector<const_slice> slices = {};
    net::body_source* source = nullptr;

    [[nodiscard]] std::uint64_t size() const;
};

struct put_options {
    /// Sent as Content-MD5: the service refuses other bytes (error_kind::bad_digest) and stores nothing.
    std::optional<md5_digest> md5 = {};
    name_values metadata = {};  ///< Lower-case names without prefix; ASCII values.
    std::string content_type = "application/octet-stream";
    /// Only if there is no such object (If-None-Match: *): error_kind::precondition if there is. Not every service
    /// knows this; some answer 501, some ignore it.
    bool if_absent = false;
};

/// The ETag that S3 gives an object of these parts: the MD5 of their MD5s, a dash, and their number. nullopt if an ETag
/// of a part is not an MD5 (KMS encryption).
[[nodiscard]] std::optional<std::string> multipart_etag(const std::vector<std::string>& part_etags);

struct put_result {
    std::string etag;  ///< Without quotes; compare with the MD5 where it has the form of one and is not opaque.
    /// The object is encrypted with keys other than S3's own (KMS, the customer's): its ETag is not the MD5, whatever
    /// it looks like.
    bool etag_is_opaque = false;
    /// By the service's clock (the Date of its answer), close to the object's Last-Modified; absent if it gave none.
    std::optional<sys_seconds> date = {};
};

struct copy_options {
    /// Absent: the copy keeps the metadata of its source. Given: it gets these instead.
    std::optional<name_values> replace_metadata = {};
    /// Only if the source still has this ETag (error_kind::precondition otherwise).
    std::string if_match;
};

struct list_options {
    std::string prefix = {};
    std::string delimiter = {};
    /// First page only: keys after this one.
    std::string start_after = {};
    /// list_page::next of the page before, and whether that is a marker (V1).
    std::string token = {};
    bool token_is_marker = false;
    /// The last key of the pages before, after which this one must begin; empty: that is not looked at.
    std::string last_key = {};
    unsigned keys_max = limits::s3_list_keys_max;

    /// Sets these three for the page after this one.
    void go_on_after(const list_page& page);
};

struct bucket_info {
    std::string region;  ///< As the service says; empty if it does not.
};

/// The body of a GET, read as it comes. A connection that breaks in mid-body is replaced by a ranged GET for the rest
/// of the same object (same ETag), within the same deadline and retry budget; the reader notices nothing. Move only.
/// Dropped early it costs the connection, unless little is left.
class object_download {
  public:
    object_download(object_download&&) noexcept;
    object_download& operator=(object_download&&) noexcept;
    ~object_download();

    [[nodiscard]] const object_info& info() const noexcept;
    [[nodiscard]] std::uint64_t offset() const noexcept;  ///< Of the first byte of the body in the object.
    [[nodiscard]] std::uint64_t length() const noexcept;  ///< Of the body: what all reads together give.
    [[nodiscard]] std::uint64_t remaining() const noexcept;

    // One at a time, awaited in place. An error is final. `into` stays the caller's; after an error its content is
    // unspecified.

    /// At least one byte, as much as has come; 0 at the end.
    [[nodiscard]] awaitable<result<std::size_t>> read_some(std::span<std::byte> into);
    /// Until `into` is full or the body ends.
    [[nodiscard]] awaitable<result<std::size_t>> read_full(std::span<std::byte> into);

  private:
    friend class client;
    struct state;
    explicit object_download(std::unique_ptr<state>) noexcept;
    std::unique_ptr<state> state_;
};

class client_core;

/// Operations are awaited in place or spawned; they take their arguments by value and keep what they need: the client
/// may be destroyed while they run.
class client {
  public:
    /// \returns errc::bad_request, in plain words, for options that cannot work. Does not touch the network; reads the
    /// certificate authorities.
    [[nodiscard]] static result<client> make(client_options options, std::shared_ptr<credentials_cache> keys);

    client(client&&) noexcept;
    client& operator=(client&&) noexcept;
    ~client();

    /// A HEAD is answered without a body, so: a 404 is only taken for a missing object if the bucket is known to exist
    /// (asked for if need be), and after a refusal (400, 403) a listing of one key is asked for, which says why.
    [[nodiscard]] awaitable<result<object_info>> head(std::string key, deadline until) const;

    /// error_kind::invalid_range if the range begins at or behind the end (so also for the empty object);
    /// error_kind::unsupported if the service sends more than the range.
    [[nodiscard]] awaitable<result<object_download>> get(std::string key, get_options options, deadline until) const;

    /// Success means that the service said so, with an ETag.
    [[nodiscard]] awaitable<result<put_result>> put(std::string key, upload_body body, put_options options,
                                                    deadline until) const;

    /// Inside the bucket, by the service. errc::not_found if the source is not there. Success means a complete
    /// CopyObjectResult; a 200 that holds an error is one. With the same key twice `replace_metadata` must be given:
    /// that is how an object gets a new Last-Modified.
    [[nodiscard]] awaitable<result<copy_result>> copy(std::string from, std::string to, copy_options options,
                                                      deadline until) const;

    /// Success also when there was no such object.
    [[nodiscard]] awaitable<result<void>> del(std::string key, deadline until) const;

    /// One page, in key order. A service that answers ListObjectsV2 as if it were V1 is asked for V1 from then on. One
    /// that does not go on where it is told to gives an error (error_kind::unsupported), since its listings never end.
    [[nodiscard]] awaitable<result<list_page>> list(list_options options, deadline until) const;

    /// \returns the upload id. Of `options` metadata and content type count.
    [[nodiscard]] awaitable<result<std::string>> create_multipart(std::string key, put_options options,
                                                                  deadline until) const;
    /// Parts are numbered from 1 and, but for the last, at least 5 MiB.
    [[nodiscard]] awaitable<result<put_result>> upload_part(std::string key, std::string upload_id, unsigned number,
                                                            upload_body body, std::optional<md5_digest> md5,
                                                            deadline until) const;
    /// The parts' ETags in order. \returns the object's ETag, which may be empty.
    /// When an earlier attempt succeeded and its answer was lost, the upload is gone; an object with the ETag that
    /// these parts make (multipart_etag) is a success then.
    [[nodiscard]] awaitable<result<std::string>> complete_multipart(std::string key, std::string upload_id,
                                                                    std::vector<std::string> etags,
                                                                    deadline until) const;
    /// Success also when there was no such upload.
    [[nodiscard]] awaitable<result<void>> abort_multipart(std::string key, std::string upload_id, deadline until) const;
    /// Uploads under way whose key begins with `prefix`, after the given ones (upload_page::next_key, next_upload_id).
    /// An error as for list() if they are not after them.
    [[nodiscard]] awaitable<result<upload_page>> list_uploads(std::string prefix, std::string after_key,
                                                              std::string after_upload_id, deadline until) const;

    /// Whether the bucket is there and these keys may use it.
    [[nodiscard]] awaitable<result<bucket_info>> head_bucket(deadline until) const;

    [[nodiscard]] client_stats stats() const;
    /// Closes idle connections on all loops and fails later calls.
    void close() noexcept;

    // What was learned on the way, for probe and logs.
    [[nodiscard]] net::endpoint endpoint() const;           ///< Where requests go at present.
    [[nodiscard]] std::string region() const;               ///< What they are signed for.
    [[nodiscard]] std::chrono::seconds clock_skew() const;  ///< The service's clock minus ours, if beyond tolerance.

  private:
    explicit client(std::shared_ptr<client_core>) noexcept;
    [[nodiscard]] static awaitable<result<object_download>> open(std::shared_ptr<client_core> core, std::string key,
                                                                 get_options options, deadline until);

    std::shared_ptr<client_core> core_;
};

}  // namespace keepstore::s3
