/// The values that operations on objects take and give, the same for S3 and Azure (where objects are called blobs).
/// Plain data; safe to use from any thread as such.
#pragma once

#include "base/buffer.hpp"
#include "base/md5_digest.hpp"
#include "cloud/query.hpp"
#include "cloud/service.hpp"
#include "cloud/time.hpp"
#include "net/client/http_client.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::cloud {

/// Size, ETag, time and metadata of an object. Metadata has lower-case names without the service's prefix.
struct object_info {
    std::uint64_t size = 0;  ///< Of the whole object, also for a ranged GET.
    /// The service gave a length. Else `size` is what came before the connection ended, or 0 of a HEAD or of a range.
    bool size_is_certain = true;
    /// Without quotes; empty if there is none. Of S3 the MD5 for single PUTs without KMS encryption; with a '-' never.
    /// Of Azure a number that changes with content and metadata.
    std::string etag;
    bool etag_is_weak = false;
    sys_seconds last_modified;  ///< Of a GET the epoch if there is none.
    name_values metadata;
    /// The MD5 of the whole object that Azure keeps with it. S3 has none.
    std::optional<md5_digest> content_md5 = {};

    /// Returns the value of a metadata entry; nullopt if there is none.
    [[nodiscard]] std::optional<std::string_view> find_metadata(std::string_view name) const {
        return find_value(metadata, name);
    }
    /// Returns the ETag as an MD5; nullopt if it does not have the form of one.
    [[nodiscard]] std::optional<md5_digest> etag_as_md5() const;
    /// The ETag for get_options::if_match and other conditions, marked if it is weak; empty if there is none.
    [[nodiscard]] std::string validator() const { return etag_is_weak ? "W/" + etag : etag; }
};

/// Reads size, ETag, date and metadata from the headers of a HEAD or GET, as far as they are there. `size` is
/// Content-Length for a 200 and the total of Content-Range for a 206. error_kind::malformed_response for a 206 without
/// Content-Range, and where no header is one of the service.
[[nodiscard]] result<object_info> read_object_info(const service_traits& service, const net::response& response);

/// The error for a response that lacks `what`.
[[nodiscard]] std::unexpected<error> lacks(const service_traits& service, std::string_view what);

struct byte_range {
    std::uint64_t offset = 0;
    /// Absent: to the end.
    std::optional<std::uint64_t> length = {};
};

struct get_options {
    std::optional<byte_range> range = {};
    /// Only if the object still has this ETag, an object_info::validator() (error_kind::precondition otherwise): for
    /// several ranges of one object. A weak one is compared with the response, since If-Match never matches it.
    std::string if_match;
    /// Of the object, where it is known: for responses that do not say it.
    std::optional<std::uint64_t> size = {};
};

/// A body to send: slices, which can always be sent again, or a source, which is sent again only if it can be rewound
/// or has yielded no more than its first piece (which is kept until the second is read). The source stays the caller's
/// and must live until the call has returned.
struct upload_body {
    std::vector<const_slice> slices = {};
    net::body_source* source = nullptr;

    /// Returns the size in bytes.
    [[nodiscard]] std::uint64_t size() const;
};

struct listed_object {
    std::string key;
    std::uint64_t size = 0;
    sys_seconds last_modified;
    std::string etag;  ///< Without quotes.
    // Of Azure only; S3's listings have neither.
    name_values metadata = {};
    std::optional<md5_digest> content_md5 = {};
};

struct list_page {
    std::vector<listed_object> objects;
    bool truncated = false;
    /// What continues the listing: S3's continuation token (V2) or marker (V1), Azure's marker; never empty when
    /// truncated.
    std::string next;
    bool next_is_marker = false;  ///< Of S3's V1: a key.

    /// Returns the last key; empty if there is none.
    [[nodiscard]] std::string_view last_key() const noexcept;
};

struct list_options {
    std::string prefix = {};
    /// First page only: keys after this one. S3 only; Azure begins with the first key.
    std::string start_after = {};
    /// list_page::next of the page before, and whether that is a marker (S3's V1).
    std::string token = {};
    bool token_is_marker = false;
    /// The last key of the pages before, after which this one must begin; empty: not checked.
    std::string last_key = {};
    unsigned keys_max = 0;  ///< 0: as many as the service gives.

    /// Sets token, token_is_marker and last_key for the page after this one.
    void continue_after(const list_page& page);
    /// Returns whether a page does not begin after the previous one: such listings never end.
    [[nodiscard]] bool is_repeated_by(const list_page& page) const noexcept;
};

/// Returns the error for a service that returns the same page for ever.
/// \param ignored  what continues its listings: "markers".
[[nodiscard]] error listing_does_not_advance(const service_traits& service, std::string_view operation,
                                             std::string_view ignored);

/// Returns the value of a Content-MD5 header: base64.
[[nodiscard]] std::string encode_content_md5(const md5_digest& digest);
/// Parses it. nullopt for anything but the base64 of 16 bytes.
[[nodiscard]] std::optional<md5_digest> decode_content_md5(std::string_view text);

/// Returns an ETag without its quotes: "\"abc\"" and abc are both abc.
[[nodiscard]] std::string_view strip_quotes(std::string_view etag) noexcept;
/// Whether a validator or an ETag header is a weak one (RFC 9110, 8.8.1): If-Match never matches those.
[[nodiscard]] constexpr bool is_weak(std::string_view etag) noexcept {
    return etag.starts_with("W/");
}

}  // namespace keepstore::cloud
