#include "s3/xml.hpp"

#include "base/text.hpp"
#include "cloud/xml_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::s3 {
namespace {

using namespace cloud::xml;

std::optional<error_document> read_error(pugi::xml_node root) {
    auto node = root;
    if (local_name(root) == "ErrorResponse") {
        node = child(root, "Error");
    } else if (local_name(root) != "Error") {
        return std::nullopt;
    }
    error_document out;
    out.code = text_of(node, "Code");
    out.message = text_of(node, "Message");
    out.region = text_of(node, "Region");
    out.endpoint = text_of(node, "Endpoint");
    out.request_id = text_of(node, "RequestId");
    if (out.request_id.empty()) out.request_id = text_of(root, "RequestId");
    if (out.code.empty()) return std::nullopt;
    return out;
}

std::unexpected<error> malformed(std::string_view what) {
    return std::unexpected(make_error(error_kind::malformed_response, what));
}

std::unexpected<error> incomplete(std::string_view what) {
    return malformed(fmt::format("no {} in the response", what));
}

/// An error inside a 200. With an unknown code it counts as a failure of the service.
std::unexpected<error> failed(const error_document& found) {
    return std::unexpected(make_error(classify(500, found.code), found.code));
}

/// The root element if it is the expected one, the error if it is an <Error>, malformed_response otherwise.
result<pugi::xml_node> expect_root(const xml_document& doc, std::string_view body, std::string_view name) {
    if (!doc.ok()) return malformed(describe_body(body));
    if (local_name(doc.root()) == name) return doc.root();
    if (const auto found = read_error(doc.root())) return failed(*found);
    const auto is = describe_body(body);
    return malformed(is.starts_with("an HTML") ? is : "an unexpected XML document");
}

/// Whether a page is followed by another one.
std::optional<bool> read_truncated(pugi::xml_node root) {
    // A page that is taken for the last one by mistake makes blocks look lost.
    if (count_children(root, "IsTruncated") != 1) return std::nullopt;
    return to_boolean(token_of(root, "IsTruncated"));
}

/// Whether the keys of a listing are url-encoded. nullopt for an encoding that is not known.
std::optional<bool> read_encoded(pugi::xml_node root) {
    const auto text = token_of(root, "EncodingType");
    if (text.empty()) return false;
    if (iequals(text, "url")) return true;
    return std::nullopt;
}

/// A key as it is, or decoded when the listing is url-encoded.
std::optional<std::string> key_text(std::string raw, bool encoded) {
    if (!encoded) return raw;
    return percent_decode(raw, true);
}

std::optional<listed_object> read_object(pugi::xml_node node, bool encoded) {
    auto key = key_text(text_of(node, "Key"), encoded);
    const auto size = parse_number<std::uint64_t>(token_of(node, "Size"));
    const auto modified = parse_iso_date(token_of(node, "LastModified"));
    if (!key || key->empty() || !size || !modified) return std::nullopt;
    return listed_object{std::move(*key), *size, *modified, std::string(strip_quotes(token_of(node, "ETag")))};
}

}  // namespace

std::optional<error_document> parse_error_document(std::string_view body) {
    const xml_document doc(body);
    if (!doc.ok()) return std::nullopt;
    return read_error(doc.root());
}

result<list_page> parse_list_page(std::string_view body) {
    const xml_document doc(body);
    KS_TRY(const auto root, expect_root(doc, body, "ListBucketResult"));
    const auto encoded = read_encoded(root);
    if (!encoded) return incomplete("known EncodingType");
    const auto truncated = read_truncated(root);
    if (!truncated) return incomplete("valid IsTruncated");
    list_page out;
    out.truncated = *truncated;
    for (const auto node : root.children()) {
        if (local_name(node) != "Contents") continue;
        auto object = read_object(node, *encoded);
        if (!object) return incomplete("key, size or date of an object");
        out.objects.push_back(std::move(*object));
    }
    if (!out.truncated) return out;
    // The token of V2 is opaque and never encoded; the marker of V1 is a key.
    out.next = text_of(root, "NextContinuationToken");
    out.next_is_marker = out.next.empty();
    if (out.next.empty()) {
        // radosgw does not encode it. The last key of the page serves as well.
        auto marker = key_text(text_of(root, "NextMarker"), *encoded);
        if (!marker && out.last_key().empty()) return incomplete("valid NextMarker");
        out.next = marker ? std::move(*marker) : std::string(out.last_key());
    }
    const bool is_v2 = !child(root, "KeyCount").empty() || !child(root, "ContinuationToken").empty();
    if (out.next.empty() && !is_v2) out.next = out.last_key();
    // Without it a listing would look complete, or never end.
    if (out.next.empty()) return incomplete("token of the next page");
    return out;
}

result<copy_result> parse_copy_result(std::string_view body) {
    const xml_document doc(body);
    KS_TRY(const auto root, expect_root(doc, body, "CopyObjectResult"));
    return copy_result{std::string(strip_quotes(token_of(root, "ETag"))),
                       parse_iso_date(token_of(root, "LastModified"))};
}

result<std::string> parse_initiate_multipart(std::string_view body) {
    const xml_document doc(body);
    KS_TRY(const auto root, expect_root(doc, body, "InitiateMultipartUploadResult"));
    auto id = text_of(root, "UploadId");
    if (id.empty()) return incomplete("UploadId");
    return id;
}

result<std::string> parse_complete_multipart(std::string_view body) {
    const xml_document doc(body);
    KS_TRY(const auto root, expect_root(doc, body, "CompleteMultipartUploadResult"));
    return std::string(strip_quotes(token_of(root, "ETag")));
}

result<upload_page> parse_upload_page(std::string_view body) {
    const xml_document doc(body);
    KS_TRY(const auto root, expect_root(doc, body, "ListMultipartUploadsResult"));
    const auto encoded = read_encoded(root);
    if (!encoded) return incomplete("known EncodingType");
    const auto truncated = read_truncated(root);
    if (!truncated) return incomplete("valid IsTruncated");
    upload_page out;
    out.truncated = *truncated;
    for (const auto node : root.children()) {
        if (local_name(node) != "Upload") continue;
        auto key = key_text(text_of(node, "Key"), *encoded);
        auto id = text_of(node, "UploadId");
        if (!key || key->empty() || id.empty()) return incomplete("key or id of an upload");
        out.uploads.push_back({std::move(*key), std::move(id), parse_iso_date(token_of(node, "Initiated"))});
    }
    if (!out.truncated) return out;
    auto key = key_text(text_of(root, "NextKeyMarker"), *encoded);
    if (!key || key->empty()) return incomplete("NextKeyMarker");
    out.next_key = std::move(*key);
    out.next_upload_id = text_of(root, "NextUploadIdMarker");
    return out;
}

result<sts_credentials> parse_sts_credentials(std::string_view body) {
    const xml_document doc(body);
    if (!doc.ok()) return malformed(describe_body(body));
    // <AssumeRoleResponse><AssumeRoleResult><Credentials>; the same with WithWebIdentity in the names.
    for (const auto node : doc.root().children()) {
        const auto found = child(node, "Credentials");
        if (!found) continue;
        const auto expiration = token_of(found, "Expiration");
        sts_credentials out{token_of(found, "AccessKeyId"), token_of(found, "SecretAccessKey"),
                            token_of(found, "SessionToken"), parse_iso_date(expiration)};
        if (out.access_key_id.empty() || out.secret_access_key.empty()) return incomplete("keys");
        if (!expiration.empty() && !out.expiration) return incomplete("valid Expiration");
        return out;
    }
    if (const auto found = read_error(doc.root())) return failed(*found);
    return incomplete("Credentials");
}

std::string format_complete_multipart(const std::vector<std::string>& etags) {
    std::string out = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    for (std::size_t i = 0; i < etags.size(); ++i) {
        // ETags come from the service: characters with a meaning in XML are dropped.
        std::string clean;
        for (const char c : strip_quotes(etags[i])) {
            if (c != '<' && c != '>' && c != '&') clean += c;
        }
        out += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>\"{}\"</ETag></Part>", i + 1, clean);
    }
    return out + "</CompleteMultipartUpload>";
}

}  // namespace keepstore::s3
