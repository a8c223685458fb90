#include "volumes/factory.hpp"

#include <fmt/format.h>

#include <chrono>

namespace keepstore::daemon {

volumes::s3_options make_s3_options(const local_volume& v, const s3_parameters& parameters, const collections_config& policy) {
    const auto milliseconds = [](nanoseconds t) { return std::chrono::ceil<std::chrono::milliseconds>(t); };
    volumes::s3_options options;
    options.access_key_id = parameters.access_key_id;
    options.secret_access_key = s3::secret_string(parameters.secret_access_key);
    options.endpoint = parameters.endpoint;
    options.region = parameters.region;
    options.bucket = parameters.bucket;
    options.use_path_style = parameters.use_path_style;
    options.prefix_length = static_cast<std::size_t>(parameters.prefix_length);
    options.index_page_size = static_cast<unsigned>(parameters.index_page_size);
    options.connect_timeout = milliseconds(parameters.connect_timeout);
    options.read_timeout = milliseconds(parameters.read_timeout);
    options.race_window = parameters.race_window;
    options.unsafe_delete = parameters.unsafe_delete;
    options.protect_for = policy.blob_signing_ttl;
    options.trash_lifetime = policy.blob_trash_lifetime;
    options.writable = v.allow_write;
    options.diagnosis = fmt::format("keepstore probe-s3 -volume {}", v.uuid);
    return options;
}

}  // namespace keepstore::daemon
