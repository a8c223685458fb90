/// One side of a clone: a keepstore's bucket, or its container of Azure, seen as objects. What the services do in
/// different ways is behind it: where time and attributes of a block are, and how a copy is requested.
///
///                S3 (s3_bucket.cpp)       Azure (azure_container.cpp)
///     block      an object                a blob that is not in the trash
///     marker     an object of its own     none: the blob has its time and attributes itself
///     trash      an object of its own     metadata of the blob: not seen here
///
/// Handles to one client; calls run concurrently, on the event loop of their caller. They are awaited in place.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "cloud/download.hpp"
#include "cloud/object.hpp"
#include "cloud/op_stats.hpp"
#include "s3/client.hpp"
#include "volumes/s3/names.hpp"

#include <memory>
#include <optional>
#include <string>

namespace keepstore::volumes {
struct azure_options;
struct s3_options;
}  // namespace keepstore::volumes

namespace keepstore::keepctl {

/// What a listed object is.
enum class object_kind : unsigned char { block, marker, trash };

/// What the service says about an object that it has stored.
struct stored_copy {
    std::string etag = {};  ///< Without quotes.
    /// Of its bytes, as far as the service tells: an ETag may look like an MD5 and be none.
    std::optional<md5_digest> md5 = {};
};

struct bucket_description {
    const std::string text;     ///< As the operator names it.
    const std::string service;  ///< Buckets with the same one may be copied from inside the service.
    const std::string bucket;
    const volumes::s3::object_names names = volumes::s3::object_names(0);
    const bool has_markers = true;  ///< Blocks have markers, and there is trash: objects of their own.
};

class clone_bucket : public bucket_description {
  public:
    explicit clone_bucket(const bucket_description& of) : bucket_description(of) {}
    clone_bucket(const clone_bucket&) = delete;
    clone_bucket& operator=(const clone_bucket&) = delete;
    virtual ~clone_bucket() = default;

    [[nodiscard]] std::string key_of(object_kind kind, const md5_digest& name) const;

    /// Lists a page. Pages may be empty and not the last one. Where there are no markers `start_after` is not heeded.
    [[nodiscard]] virtual awaitable<result<cloud::list_page>> list(s3::list_options where, deadline until) const = 0;
    [[nodiscard]] virtual awaitable<result<cloud::object_download>> get(object_kind kind, md5_digest name,
                                                                        deadline until) const = 0;
    /// Returns what get_options::if_match and copy() take.
    [[nodiscard]] virtual awaitable<result<std::string>> validator_of(object_kind kind, md5_digest name,
                                                                      deadline until) const = 0;
    /// Stores a block, live or in the trash. The service refuses bytes with another MD5.
    [[nodiscard]] virtual awaitable<result<stored_copy>> put(object_kind kind, md5_digest name, cloud::upload_body body,
                                                             deadline until) const = 0;
    /// Copies an object of a bucket of the same service, with its attributes, if it still has this validator (empty:
    /// any). errc::not_found if there is no such object; errc::checksum_mismatch if the service found that it is not
    /// the block.
    [[nodiscard]] virtual awaitable<result<stored_copy>> copy(const clone_bucket& from, object_kind kind,
                                                              md5_digest name, std::string if_match,
                                                              deadline until) const = 0;

    /// Returns the waypoints kept with a block, as text; nullopt if there are none. errc::not_found without its marker.
    [[nodiscard]] virtual awaitable<result<std::optional<std::string>>> waypoints_of(md5_digest name,
                                                                                     deadline until) const = 0;
    /// Makes what put() leaves out: the marker, and the waypoints. `etag`: of what put() has stored, if it was called.
    [[nodiscard]] virtual awaitable<result<void>> mark(md5_digest name, std::optional<std::string> waypoints,
                                                       std::string etag, deadline until) const = 0;

    [[nodiscard]] virtual const cloud::op_stats& stats() const noexcept = 0;
};

// These do not contact the service. \returns errc::bad_request, in plain words, for options that cannot work.

[[nodiscard]] result<std::unique_ptr<clone_bucket>> open_s3_bucket(std::string text,
                                                                   const volumes::s3_options& options);
[[nodiscard]] result<std::unique_ptr<clone_bucket>> open_azure_container(std::string text,
                                                                         const volumes::azure_options& options);
[[nodiscard]] result<s3::client> make_bucket_client(const volumes::s3_options& options);

/// Whether a copy inside the service may work between the two.
[[nodiscard]] bool same_service(const clone_bucket& a, const clone_bucket& b);
/// Whether both are one bucket.
[[nodiscard]] bool same_bucket(const clone_bucket& a, const clone_bucket& b);

}  // namespace keepstore::keepctl
