#include "azure/client_calls.hpp"

#include "azure/limits.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::azure {
namespace {

bool is_metadata_name(std::string_view name) {
    if (name.empty() || is_digit(name.front())) return false;
    return std::ranges::all_of(name, [](char c) { return is_lower_or_digit(c) || c == '_'; });
}

bool is_metadata_value(std::string_view value) {
    if (value.starts_with(' ') || value.ends_with(' ')) return false;
    return std::ranges::all_of(value, [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

awaitable<result<void>> run_plain(std::shared_ptr<client_core> core, call c, deadline until) {
    KS_CO_CHECK(co_await core->run(std::move(c), cloud::accept_any, until));
    co_return success();
}

awaitable<result<put_result>> run_change(std::shared_ptr<client_core> core, call c, deadline until,
                                         change_check confirms) {
    put_result out;
    const response_check check = [&](const full_response& got) -> result<void> {
        if (confirms) KS_CHECK(confirms(got.response));
        const auto modified = cloud::parse_http_date(got.response.get("last-modified"));
        out.etag = cloud::strip_quotes(got.response.get("etag"));
        if (out.etag.empty()) return cloud::lacks(azure_traits, "ETag");
        if (!modified) return cloud::lacks(azure_traits, "Last-Modified");
        out.last_modified = *modified;
        out.date = cloud::parse_http_date(got.response.get("date"));
        return success();
    };
    KS_CO_CHECK(co_await core->run(std::move(c), check, until));
    co_return out;
}

result<object_info> client_core::read_info(const net::response& response) const {
    KS_TRY(auto out, cloud::read_object_info(azure_traits, response));
    if (out.etag.empty()) return cloud::lacks(azure_traits, "ETag");
    if (out.last_modified == sys_seconds{}) return cloud::lacks(azure_traits, "Last-Modified");
    // The Content-MD5 of a ranged response would be that of the range.
    const auto md5 = response.get(response.status() == 206 ? "x-ms-blob-content-md5" : "content-md5");
    if (md5.empty()) return out;
    out.content_md5 = cloud::decode_content_md5(md5);
    if (!out.content_md5) return cloud::lacks(azure_traits, "valid MD5");
    return out;
}

result<void> add_metadata(name_values& headers, const name_values& metadata) {
    std::size_t bytes = 0;
    for (const auto& [name, value] : metadata) {
        if (!is_metadata_name(name) || !is_metadata_value(value)) {
            return fail(errc::bad_request, "metadata that Azure does not take");
        }
        bytes += name.size() + value.size();
        headers.emplace_back("x-ms-meta-" + name, value);
    }
    if (bytes > limits::azure_metadata_bytes_max) return fail(errc::bad_request, "too much metadata for Azure");
    return success();
}

void add_condition(name_values& headers, const condition& only) {
    if (only.if_absent) headers.emplace_back("if-none-match", "*");
    if (!only.if_match.empty()) headers.emplace_back("if-match", fmt::format("\"{}\"", only.if_match));
    if (only.if_unmodified_since) {
        headers.emplace_back("if-unmodified-since", cloud::format_http_date(*only.if_unmodified_since));
    }
}

}  // namespace keepstore::azure
