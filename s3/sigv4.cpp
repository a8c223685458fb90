#include "s3/sigv4.hpp"

#include "base/hex.hpp"
#include "base/text.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <stdexcept>

namespace keepstore::s3 {
namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";

bool is_unreserved(char c) {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/// Returns a header's value as it is signed: no blanks at the ends, runs of blanks inside become one.
std::string canonical_value(std::string_view value) {
    std::string out;
    out.reserve(value.size());
    for (const char c : value) {
        if (!is_blank(c)) {
            out += c;
        } else if (!out.empty() && out.back() != ' ') {
            out += ' ';
        }
    }
    if (out.ends_with(' ')) out.pop_back();
    return out;
}

std::span<const std::uint8_t> as_octets(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string uri_encode(std::string_view text, encode_slash slash) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size() + text.size() / 4);
    for (const char c : text) {
        if (is_unreserved(c) || (c == '/' && slash == encode_slash::no)) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 15];
        }
    }
    return out;
}

std::string canonical_query(const name_values& raw) {
    name_values encoded;
    encoded.reserve(raw.size());
    for (const auto& [name, value] : raw) {
        encoded.emplace_back(uri_encode(name, encode_slash::yes), uri_encode(value, encode_slash::yes));
    }
    // After encoding: '%' sorts before letters and digits, so the order of the raw names can differ.
    std::ranges::sort(encoded);
    std::string out;
    for (const auto& [name, value] : encoded) {
        if (!out.empty()) out += '&';
        out += name;
        out += '=';
        out += value;
    }
    return out;
}

// METHOD \n path \n query \n name:value \n ... \n \n name;name \n payload hash
canonical_form canonical_request(const unsigned_request& request) {
    // By name; headers of one name in the order in which they are sent (the positions make a plain sort stable).
    std::vector<std::pair<std::string_view, std::size_t>> order;
    order.reserve(request.headers.size());
    for (std::size_t i = 0; i < request.headers.size(); ++i) order.emplace_back(request.headers[i].first, i);
    std::ranges::sort(order);

    canonical_form out;
    out.text.reserve(512);
    out.text.append(request.method).append("\n").append(request.path).append("\n").append(request.query).append("\n");
    for (std::size_t i = 0; i < order.size(); ++i) {
        const auto& [name, value] = request.headers[order[i].second];
        if (i > 0 && name == order[i - 1].first) {
            // Headers of one name share a line.
            out.text.back() = ',';
        } else {
            out.text.append(name).append(":");
            if (!out.signed_headers.empty()) out.signed_headers += ';';
            out.signed_headers += name;
        }
        out.text.append(canonical_value(value)).append("\n");
    }
    out.text.append("\n").append(out.signed_headers).append("\n").append(request.payload_hash);
    return out;
}

std::string credential_scope(std::string_view date, std::string_view region, std::string_view service) {
    std::string out;
    out.append(date).append("/").append(region).append("/").append(service).append("/aws4_request");
    return out;
}

std::string string_to_sign(std::string_view signing_time, std::string_view scope, std::string_view canonical) {
    std::string out;
    out.append(algorithm).append("\n").append(signing_time).append("\n").append(scope).append("\n");
    out.append(to_hex(sha256(canonical)));
    return out;
}

sha256_digest signing_key(const secret_string& secret, std::string_view date, std::string_view region,
                          std::string_view service) {
    const auto first = "AWS4" + secret.reveal();
    const auto of_date = hmac_sha256(as_octets(first), date);
    const auto of_region = hmac_sha256(of_date, region);
    const auto of_service = hmac_sha256(of_region, service);
    return hmac_sha256(of_service, "aws4_request");
}

sha256_digest hmac_sha256(std::span<const std::uint8_t> key, std::string_view text) {
    sha256_digest out{};
    unsigned size = 0;
    if (!HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), as_octets(text).data(), text.size(), out.data(),
              &size)) {
        throw std::runtime_error("OpenSSL has no HMAC-SHA-256");
    }
    return out;
}

void signer::sign(std::string_view method, std::string_view path, std::string_view query, name_values& headers,
                  std::string_view payload_hash, std::string_view region, const signing_keys& keys, sys_seconds now) {
    const auto time = format_signing_time(now);
    const auto date = std::string_view(time).substr(0, 8);
    headers.emplace_back("x-amz-date", time);
    if (service_ == "s3") headers.emplace_back("x-amz-content-sha256", payload_hash);
    if (!keys.session_token.empty()) headers.emplace_back("x-amz-security-token", keys.session_token.reveal());

    const auto canonical = canonical_request({method, path, query, headers, payload_hash});
    const auto scope = credential_scope(date, region, service_);
    const auto signature =
        to_hex(hmac_sha256(key_for(keys.secret_access_key, date, region), string_to_sign(time, scope, canonical.text)));

    std::string value;
    value.append(algorithm).append(" Credential=").append(keys.access_key_id).append("/").append(scope);
    value.append(", SignedHeaders=").append(canonical.signed_headers).append(", Signature=").append(signature);
    headers.emplace_back("authorization", std::move(value));
}

sha256_digest signer::key_for(const secret_string& secret, std::string_view date, std::string_view region) {
    const std::lock_guard lock(mutex_);
    if (key_date_ != date || key_region_ != region || key_secret_ != secret) {
        key_ = signing_key(secret, date, region, service_);
        key_date_ = date;
        key_region_ = region;
        key_secret_ = secret;
    }
    return key_;
}

}  // namespace keepstore::s3
