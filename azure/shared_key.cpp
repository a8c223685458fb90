#include "azure/shared_key.hpp"

#include "base/base64.hpp"
#include "base/join.hpp"
#include "base/sha256.hpp"
#include "base/text.hpp"
#include "base/utc_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

namespace keepstore::azure {
namespace {

// In this order, between method and x-ms- headers; Content-Length comes after the first two.
constexpr std::array<std::string_view, 10> plain_headers{
    "content-encoding",  "content-language", "content-md5",   "content-type",        "date",
    "if-modified-since", "if-match",         "if-none-match", "if-unmodified-since", "range"};

/// Returns a text that sorts as the service sorts the names of headers: by the rules of .NET for English, in which
/// hyphens do not count, and underscores come before digits and these before letters. In ASCII underscores come after
/// digits, so that a plain sort signs x-ms-meta-a1 and x-ms-meta-a_b in the wrong order.
std::string sort_key(std::string_view name) {
    std::string out;
    for (const char c : name) {
        if (c != '-') out += c == '_' ? '!' : c;
    }
    return out;
}

void append_canonical_headers(std::string& out, const cloud::name_values& headers) {
    std::vector<std::pair<std::string, const std::pair<std::string, std::string>*>> sorted;
    for (const auto& header : headers) {
        if (header.first.starts_with("x-ms-")) sorted.emplace_back(sort_key(header.first), &header);
    }
    std::ranges::sort(sorted, {}, [](const auto& entry) { return std::string_view(entry.first); });
    for (const auto& [key, header] : sorted) out.append(header->first).append(":").append(header->second).append("\n");
}

void append_canonical_resource(std::string& out, const unsigned_request& request, std::string_view account) {
    out.append("/").append(account).append(request.path);
    std::map<std::string, std::vector<std::string_view>> parameters;
    for (const auto& [name, value] : request.query) parameters[lower_case(name)].push_back(value);
    for (auto& [name, values] : parameters) {
        std::ranges::sort(values);
        out.append("\n").append(name).append(":").append(join(values, ","));
    }
}

std::string sign(std::string_view text, const shared_key& key) {
    const auto signature = hmac_sha256(std::as_bytes(std::span(key.key.reveal())), text);
    return encode_base64(std::as_bytes(std::span(signature)));
}

}  // namespace

std::string string_to_sign(const unsigned_request& request, std::string_view account) {
    std::string out(request.method);
    out.append("\n");
    for (const auto name : plain_headers) {
        if (name == "content-md5") {
            if (request.content_length > 0) out.append(fmt::format("{}", request.content_length));
            out.append("\n");
        }
        out.append(cloud::find_value(request.headers, name).value_or("")).append("\n");
    }
    append_canonical_headers(out, request.headers);
    append_canonical_resource(out, request, account);
    return out;
}

std::string authorization_header(const unsigned_request& request, std::string_view account, const shared_key& key) {
    return fmt::format("SharedKey {}:{}", account, sign(string_to_sign(request, account), key));
}

// permissions \n start \n end \n /blob/account/container/blob \n policy \n addresses \n protocol \n version \n
// resource \n snapshot \n encryption scope \n five headers of the response
cloud::name_values blob_signature(const readable_blob& what, const shared_key& key) {
    const auto end = utc_text(what.until);
    const auto text = fmt::format("r\n\n{}\n/blob/{}/{}/{}\n\n\n\n{}\nb\n\n\n\n\n\n\n", end, what.account,
                                  what.container, what.key, protocol_version);
    return {{"sv", std::string(protocol_version)}, {"sr", "b"}, {"sp", "r"}, {"se", end}, {"sig", sign(text, key)}};
}

}  // namespace keepstore::azure
