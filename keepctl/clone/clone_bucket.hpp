/// One side of a clone: a keepstore's bucket, seen as objects. A value; handles to one client.
#pragma once

#include "net/http/url.hpp"
#include "s3/client.hpp"
#include "volumes/s3/names.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <string>

namespace keepstore::keepctl {

struct clone_bucket {
    std::string text;  ///< As the operator names it.
    std::string bucket;
    net::endpoint service;  ///< Without the bucket.
    volumes::s3::object_names names;
    s3::client client;
};

/// Does not contact it. \returns errc::bad_request, in plain words, for options that cannot work.
[[nodiscard]] result<clone_bucket> open_clone_bucket(std::string text, const volumes::s3_options& options);

/// Whether a COPY between the two may work: one service, which may be Amazon with two of its regions.
[[nodiscard]] bool same_service(const clone_bucket& a, const clone_bucket& b);
/// Whether both are one bucket.
[[nodiscard]] bool same_bucket(const clone_bucket& a, const clone_bucket& b);

/// What a listed object is.
enum class object_kind : unsigned char { block, marker, trash };

[[nodiscard]] std::string key_of(const clone_bucket& of, object_kind kind, const md5_digest& name);

}  // namespace keepstore::keepctl
