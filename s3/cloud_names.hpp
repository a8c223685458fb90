/// The names of cloud/ that are S3's own vocabulary, too.
#pragma once

#include "cloud/credentials/credentials.hpp"
#include "cloud/download.hpp"
#include "cloud/environment.hpp"
#include "cloud/object.hpp"
#include "cloud/query.hpp"
#include "cloud/retry.hpp"
#include "cloud/secret.hpp"
#include "cloud/time.hpp"

namespace keepstore::s3 {

using cloud::byte_range;
using cloud::canonical_query;
using cloud::credentials;
using cloud::credentials_cache;
using cloud::credentials_source;
using cloud::encode_slash;
using cloud::environment;
using cloud::format_http_date;
using cloud::get_options;
using cloud::is_weak;
using cloud::list_page;
using cloud::listed_object;
using cloud::name_values;
using cloud::object_download;
using cloud::object_info;
using cloud::parse_http_date;
using cloud::parse_iso_date;
using cloud::process_environment;
using cloud::retry_options;
using cloud::retry_policy;
using cloud::retry_session;
using cloud::secret_string;
using cloud::signing_keys;
using cloud::strip_quotes;
using cloud::sys_seconds;
using cloud::system_wall_clock;
using cloud::upload_body;
using cloud::uri_encode;
using cloud::wall_clock;

}  // namespace keepstore::s3
