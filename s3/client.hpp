/// The operations of one S3 bucket as awaitables. Handles signing, expiring credentials, buckets in another region,
/// wrong clocks, errors inside a 200, retries and truncated responses. Knows nothing of blocks (volumes/s3).
///
///     auto info = co_await bucket.head("abc", until);
///     if (!info && info.error() == errc::not_found) ...                 // By what the caller can do,
///     if (!info && kind_of(info.error()) == error_kind::slow_down) ...  // or by what happened, in S3's terms.
///
/// Threads: safe to use from any thread at the same time; a call runs on the executor of the coroutine that awaits it
/// (an io_context with one thread), and so must everything done with an `object_download`, its destruction included.
/// Each event loop has its own connections.
///
/// Deadlines: `until` is for the whole call with all its retries and, for `get`, for reading the body; errc::timeout
/// then. A call that timed out may still take effect. A call fails before its deadline when the next attempt would
/// begin after it. Cancellation: errc::cancelled; the connection is closed, and the request may have taken effect.
///
/// Errors: errc::not_found only if the object is not there. A missing bucket, wrong keys, a wrong region or clock are
/// errc::unavailable with a text that says what to do. See s3/error.hpp. Texts contain no keys, signatures or object
/// names.
///
/// Retries (cloud/retry.hpp): every operation may be sent more than once. All are idempotent but `create_multipart`: a
/// lost response leaves an upload that a lifecycle rule (or list_uploads and abort_multipart) has to remove.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "s3/cloud_names.hpp"
#include "s3/error.hpp"
#include "s3/op_stats.hpp"
#include "s3/xml.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::s3 {

struct client_options : cloud::connection_options {
    /// "https://host[:port][/path]", or a bare host, which means https. Empty: Amazon's endpoint of `region`.
    std::string endpoint;
    std::string region;  ///< For signing, and Amazon's endpoint. Empty: us-east-1 (docs/interface.md 1.9).
    std::string bucket;
    /// host/bucket/key instead of bucket.host/key. Always used with an IP address, and for buckets that cannot be part
    /// of a host name (or, with TLS, have dots: certificates do not cover them).
    bool path_style = false;
    bool list_v1 = false;  ///< ListObjects instead of ListObjectsV2, for services without it.
};

struct put_options {
    /// Sent as Content-MD5: the service refuses other bytes (error_kind::bad_digest) and stores nothing.
    std::optional<md5_digest> md5 = {};
    name_values metadata = {};  ///< Lower-case names without prefix; ASCII values.
    std::string content_type = "application/octet-stream";
    /// Only if there is no such object (If-None-Match: *): error_kind::precondition if there is. Not every service
    /// supports this: some return 501, some ignore it.
    bool if_absent = false;
    /// Only if the object still has this ETag (If-Match): error_kind::precondition if it has another one, not_found if
    /// there is no object. With if_absent not given. Support is rarer still than that of if_absent.
    /// A lost response makes the next attempt find the object of the first one, and fail with precondition: a caller
    /// that must know reads the object.
    std::string if_match = {};
    /// As the service takes it in If-Match: "etag" in quotes, or, for services that compare it with quotes and all,
    /// bare.
    enum class etag_form { quoted, bare };
    etag_form if_match_form = etag_form::quoted;
};

/// Returns the ETag that S3 gives an object of these parts: the MD5 of their MD5s, a dash, and their number. nullopt if
/// the ETag of a part is not an MD5 (KMS encryption).
[[nodiscard]] std::optional<std::string> multipart_etag(const std::vector<std::string>& part_etags);

struct put_result {
    std::string etag;  ///< Without quotes; see judge_etag().
    /// The object is encrypted with keys other than S3's own (KMS, the customer's): its ETag is not the MD5, whatever
    /// it looks like.
    bool etag_is_opaque = false;
    /// By the service's clock (the Date of its response), close to the object's Last-Modified; absent without a Date.
    std::optional<sys_seconds> date = {};
};

/// What the ETag of an upload says about the bytes that the service has stored. Their proof is Content-MD5, with which
/// the service refuses other bytes; an ETag adds to it only where it is an MD5, as that of a single PUT at Amazon.
enum class etag_evidence {
    confirms,     ///< It is the MD5 of what was sent.
    nothing,      ///< It is no MD5: of several parts, encrypted with KMS keys, or of another kind.
    contradicts,  ///< It is another value in the form of an MD5: other bytes were stored, or this service's ETags are
                  ///< no MD5s. Reading the object tells.
};
[[nodiscard]] etag_evidence judge_etag(const put_result& stored, const md5_digest& sent);

struct copy_options {
    /// The source's bucket, at the same service; empty: this one. The client's keys must be allowed to read it.
    std::string from_bucket = {};
    /// Absent: the copy keeps the metadata of its source. Given: it gets these instead.
    std::optional<name_values> replace_metadata = {};
    /// Only if the source still has this ETag, an object_info::validator() (error_kind::precondition otherwise). A
    /// weak one makes no condition, since If-Match never matches it. radosgw 16 ignores the condition.
    std::string if_match;
};

class client_core;

/// A handle, cheap to copy. Operations are awaited in place or spawned; they take their arguments by value, and the
/// client itself, so it may be destroyed while they run.
class client {
  public:
    /// Makes a client. Reads the certificate authorities; does not touch the network. \returns errc::bad_request, in
    /// plain words, for options that cannot work.
    [[nodiscard]] static result<client> make(client_options options, std::shared_ptr<credentials_cache> keys);

    /// Gets size, ETag, time and metadata. The response to a HEAD has no body, so a 404 counts as a missing object only
    /// if the bucket is known to exist (checked if need be), and after a 400 or 403 a listing of one key finds the
    /// reason.
    [[nodiscard]] awaitable<result<object_info>> head(this client self, std::string key, deadline until);

    /// Begins to read an object. Neither ETag nor Last-Modified is needed. Where the response does not say the size
    /// either it is asked for by a HEAD, or the body is read once to count its bytes. error_kind::invalid_range if the
    /// range begins at or past the end (so also for the empty object); error_kind::unsupported if the service sends
    /// more than the range, or does not say how large the object is.
    [[nodiscard]] awaitable<result<object_download>> get(this client self, std::string key, get_options options,
                                                         deadline until);

    /// Stores an object. Success means that the service confirmed it, with an ETag.
    [[nodiscard]] awaitable<result<put_result>> put(this client self, std::string key, upload_body body,
                                                    put_options options, deadline until);

    /// Copies an object into this bucket, on the service's side. errc::not_found if there is no source;
    /// error_kind::no_such_bucket if that is not for lack of the object. Success means a complete CopyObjectResult; an
    /// error inside a 200 is an error. With the same key twice `replace_metadata` must
    /// be given: that renews the object's Last-Modified.
    [[nodiscard]] awaitable<result<copy_result>> copy(this client self, std::string from, std::string to,
                                                      copy_options options, deadline until);

    /// Deletes an object. Success also when there was no such object.
    [[nodiscard]] awaitable<result<void>> del(this client self, std::string key, deadline until);

    /// Lists one page, in key order. After a V1 response to ListObjectsV2 the client uses V1. A page that does not
    /// begin after the previous one is an error (error_kind::unsupported), since such listings never end.
    [[nodiscard]] awaitable<result<list_page>> list(this client self, list_options options, deadline until);

    /// Begins a multipart upload with the metadata and content type of `options`. \returns the upload id.
    [[nodiscard]] awaitable<result<std::string>> create_multipart(this client self, std::string key,
                                                                  put_options options, deadline until);
    /// Stores a part. Parts are numbered from 1 and, but for the last, at least 5 MiB.
    [[nodiscard]] awaitable<result<put_result>> upload_part(this client self, std::string key, std::string upload_id,
                                                            unsigned number, upload_body body,
                                                            std::optional<md5_digest> md5, deadline until);
    /// Completes an upload from its parts' ETags in order. \returns the object's ETag, which may be empty.
    /// When the upload is gone, since an earlier attempt succeeded and its response was lost, an object with the ETag
    /// of these parts (multipart_etag) is a success.
    [[nodiscard]] awaitable<result<std::string>> complete_multipart(this client self, std::string key,
                                                                    std::string upload_id,
                                                                    std::vector<std::string> etags, deadline until);
    /// Aborts an upload. Success also when there was no such upload.
    [[nodiscard]] awaitable<result<void>> abort_multipart(this client self, std::string key, std::string upload_id,
                                                          deadline until);
    /// Lists pending uploads whose key begins with `prefix`, after the given ones (upload_page::next_key,
    /// next_upload_id). A page that does not begin after them is an error as for list().
    [[nodiscard]] awaitable<result<upload_page>> list_uploads(this client self, std::string prefix,
                                                              std::string after_key, std::string after_upload_id,
                                                              deadline until);

    /// Valid while the client lives.
    [[nodiscard]] const op_stats& stats() const noexcept;

    // What the service's responses have taught, for the probe and logs.
    [[nodiscard]] std::string region() const;               ///< The region that they are signed for.
    [[nodiscard]] std::chrono::seconds clock_skew() const;  ///< The service's clock minus ours, if beyond tolerance.

  private:
    explicit client(std::shared_ptr<client_core>) noexcept;

    std::shared_ptr<client_core> core_;
};

}  // namespace keepstore::s3
