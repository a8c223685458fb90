/// What the operations of s3::client have in common: running a call, and what its response is checked for. Not part of
/// the module's interface. All functions are awaited in place.
#pragma once

#include "s3/client.hpp"
#include "s3/client_core.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::s3 {

/// Runs a call whose response has no result.
[[nodiscard]] awaitable<result<void>> run_plain(std::shared_ptr<client_core> core, call c, deadline until);

/// Runs a call whose response is a document. `parse` is a function of s3/xml.hpp.
template <class T>
[[nodiscard]] awaitable<result<T>> run_parsed(std::shared_ptr<client_core> core, call c,
                                              result<T> (*parse)(std::string_view), deadline until) {
    std::optional<T> parsed;
    const response_check check = [&](const full_response& got) -> result<void> {
        KS_TRY(auto value, parse(got.body));
        parsed.emplace(std::move(value));
        return success();
    };
    KS_CO_CHECK(co_await core->run(std::move(c), check, until));
    co_return std::move(*parsed);
}

/// Runs a PUT of data, of an object or a part. \returns ETag and date.
[[nodiscard]] awaitable<result<put_result>> run_upload(std::shared_ptr<client_core> core, call c, deadline until);

/// Adds x-amz-meta- headers. errc::bad_request unless names are lower case and values printable ASCII.
[[nodiscard]] result<void> add_metadata(name_values& headers, const name_values& metadata);

/// Adds Content-MD5.
void add_content_md5(name_values& headers, const std::optional<md5_digest>& digest);

/// Returns the error for a service that ignores the continuation token.
[[nodiscard]] error repeated_page(operation op);

}  // namespace keepstore::s3
