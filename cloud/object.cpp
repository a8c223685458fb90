#include "cloud/object.hpp"

#include "base/base64.hpp"
#include "base/text.hpp"
#include "cloud/content_range.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace keepstore::cloud {

std::optional<md5_digest> object_info::etag_as_md5() const {
    return md5_digest::parse(etag);
}

std::unexpected<error> lacks(const service_traits& service, std::string_view what) {
    return std::unexpected(
        service.make_error(error_kind::malformed_response, fmt::format("no {} in the response", what)));
}

result<object_info> read_object_info(const service_traits& service, const net::response& response) {
    object_info out;
    if (response.status() == 206) {
        const auto range = parse_content_range(response.get("content-range"));
        if (!range) return lacks(service, "Content-Range");
        out.size_is_certain = range->total.has_value();
        out.size = range->total.value_or(0);
    } else {
        out.size_is_certain = response.content_length().has_value();
        out.size = response.content_length().value_or(0);
    }
    out.etag = strip_quotes(response.get("etag"));
    out.etag_is_weak = is_weak(response.get("etag"));
    out.last_modified = parse_http_date(response.get("last-modified")).value_or(sys_seconds{});
    bool of_service = !out.etag.empty() || out.last_modified != sys_seconds{};
    for (const auto& header : response.headers()) {
        auto name = lower_case(header.name);
        of_service = of_service || name.starts_with(service.header_prefix);
        if (name.starts_with(service.metadata_prefix)) {
            out.metadata.emplace_back(name.substr(service.metadata_prefix.size()), header.value);
        }
    }
    // Not the page of a proxy.
    if (!of_service) return lacks(service, fmt::format("header of {}", service.name));
    return out;
}

std::uint64_t upload_body::size() const {
    if (source) return source->size();
    std::uint64_t sum = 0;
    for (const auto& slice : slices) sum += slice.size();
    return sum;
}

std::string_view list_page::last_key() const noexcept {
    return objects.empty() ? std::string_view() : objects.back().key;
}

void list_options::continue_after(const list_page& page) {
    token = page.next;
    token_is_marker = page.next_is_marker;
    if (const auto last = page.last_key(); last > last_key) last_key = last;
}

bool list_options::is_repeated_by(const list_page& page) const noexcept {
    const bool repeats = !last_key.empty() && !page.objects.empty() && page.objects.front().key <= last_key;
    return repeats || (page.truncated && page.next == token);
}

error listing_does_not_advance(const service_traits& service, std::string_view operation, std::string_view ignored) {
    return {errc::io_error,
            fmt::format("{} {}: a page of the listing does not begin after the previous one: this service ignores {}, "
                        "and its listings cannot be used.",
                        service.name, operation, ignored),
            make_error_code(error_kind::unsupported)};
}

std::string encode_content_md5(const md5_digest& digest) {
    return encode_base64(std::as_bytes(std::span(digest.bytes)));
}

std::optional<md5_digest> decode_content_md5(std::string_view text) {
    const auto bytes = decode_base64(text);
    md5_digest out;
    if (!bytes || bytes->size() != out.bytes.size()) return std::nullopt;
    std::memcpy(out.bytes.data(), bytes->data(), bytes->size());
    return out;
}

std::string_view strip_quotes(std::string_view etag) noexcept {
    if (is_weak(etag)) etag.remove_prefix(2);
    if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') return etag.substr(1, etag.size() - 2);
    return etag;
}

}  // namespace keepstore::cloud
