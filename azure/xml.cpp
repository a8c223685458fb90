#include "azure/xml.hpp"

#include "azure/error.hpp"
#include "base/text.hpp"
#include "cloud/xml_reader.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::azure {
namespace {

using namespace cloud::xml;

std::unexpected<error> malformed(std::string_view what) {
    return std::unexpected(make_error(error_kind::malformed_response, what));
}

std::unexpected<error> not_understood(std::string_view what) {
    return malformed(fmt::format("no {} in the listing that is understood", what));
}

/// The name of a blob, decoded if it has to be.
std::optional<std::string> read_name(pugi::xml_node blob) {
    if (count_children(blob, "Name") != 1) return std::nullopt;
    const auto node = child(blob, "Name");
    auto name = own_text(node);
    const auto attribute = node.attribute("Encoded");
    const auto encoded = attribute ? to_boolean(attribute.value()) : false;
    if (!encoded || name.empty()) return std::nullopt;
    return *encoded ? percent_decode(name) : std::move(name);
}

/// Whether this is the present version of a blob, and no snapshot or deleted one.
bool is_current(pugi::xml_node blob) {
    if (!text_of(blob, "Snapshot").empty()) return false;
    const auto deleted = token_of(blob, "Deleted");
    if (!deleted.empty() && to_boolean(deleted) != false) return false;
    const auto current = token_of(blob, "IsCurrentVersion");
    return current.empty() || to_boolean(current) == true;
}

result<cloud::listed_object> read_blob(pugi::xml_node blob) {
    cloud::listed_object out;
    auto name = read_name(blob);
    if (!name) return not_understood("name of a blob");
    if (!is_current(blob)) return not_understood("present version of a blob");
    const auto properties = child(blob, "Properties");
    const auto size = parse_number<std::uint64_t>(token_of(properties, "Content-Length"));
    const auto modified = cloud::parse_http_date(token_of(properties, "Last-Modified"));
    if (!size || !modified) return not_understood("size or date of a blob");
    out.key = std::move(*name);
    out.size = *size;
    out.last_modified = *modified;
    out.etag = cloud::strip_quotes(token_of(properties, "Etag"));
    if (const auto md5 = token_of(properties, "Content-MD5"); !md5.empty()) {
        out.content_md5 = cloud::decode_content_md5(md5);
        if (!out.content_md5) return not_understood("MD5 of a blob");
    }
    for (const auto entry : child(blob, "Metadata").children()) {
        if (entry.type() == pugi::node_element) out.metadata.emplace_back(lower_case(entry.name()), own_text(entry));
    }
    return out;
}

}  // namespace

std::optional<std::string> parse_error_code(std::string_view body) {
    const xml_document doc(body);
    if (!doc.ok() || local_name(doc.root()) != "Error") return std::nullopt;
    auto code = token_of(doc.root(), "Code");
    if (code.empty()) return std::nullopt;
    return code;
}

result<cloud::list_page> parse_list_page(std::string_view body) {
    const xml_document doc(body);
    if (!doc.ok()) return malformed(describe_body(body));
    const auto root = doc.root();
    if (local_name(root) != "EnumerationResults") {
        const auto is = describe_body(body);
        return malformed(is.starts_with("an HTML") ? is : "an unexpected XML document");
    }
    // Without them the page could be cut, and be taken for the last one.
    if (count_children(root, "Blobs") != 1) return not_understood("list of blobs");
    if (count_children(root, "NextMarker") != 1) return not_understood("NextMarker");
    cloud::list_page out;
    out.next = text_of(root, "NextMarker");
    out.truncated = !out.next.empty();
    for (const auto node : child(root, "Blobs").children()) {
        if (node.type() != pugi::node_element) continue;
        if (local_name(node) != "Blob") return not_understood("kind of entry");
        KS_TRY(auto blob, read_blob(node));
        out.objects.push_back(std::move(blob));
    }
    return out;
}

std::string format_block_list(const std::vector<std::string>& encoded_ids) {
    std::string out = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>";
    for (const auto& id : encoded_ids) out.append("<Latest>").append(id).append("</Latest>");
    return out + "</BlockList>";
}

}  // namespace keepstore::azure
