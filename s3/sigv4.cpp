#include "s3/sigv4.hpp"

#include "base/hex.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::s3 {
namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";

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

sha256_digest hmac(const sha256_digest& key, std::string_view text) {
    return hmac_sha256(std::as_bytes(std::span(key)), text);
}

}  // namespace

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

std::string format_signing_time(sys_seconds at) {
    const auto days_part = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day date{days_part};
    const std::chrono::hh_mm_ss clock{at - days_part};
    return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                       clock.minutes().count(), clock.seconds().count());
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
    const auto of_date = hmac_sha256(std::as_bytes(std::span(first)), date);
    const auto of_region = hmac(of_date, region);
    const auto of_service = hmac(of_region, service);
    return hmac(of_service, "aws4_request");
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
        to_hex(hmac(key_for(keys.secret_access_key, date, region), string_to_sign(time, scope, canonical.text)));

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
