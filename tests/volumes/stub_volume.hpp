/// Options of an S3 volume on a stub of the service.
#pragma once

#include "volumes/s3/s3_volume.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace keepstore::test {

inline volumes::s3_options stub_options(std::string url, unsigned loops) {
    volumes::s3_options o;
    o.endpoint = std::move(url);
    o.region = "us-east-1";
    o.bucket = "keep";
    o.access_key_id = "AKID";
    o.secret_access_key = s3::secret_string("secret");
    o.use_path_style = true;
    o.writable = false;  // No look for left-over uploads, which would count as a request.
    o.loops = loops;
    return o;
}

inline std::unique_ptr<volumes::volume> open_volume(volumes::s3_options options) {
    auto opened = volumes::open_s3_volume(std::move(options));
    if (!opened) throw std::runtime_error(opened.error().text);
    return std::move(*opened);
}

}  // namespace keepstore::test
