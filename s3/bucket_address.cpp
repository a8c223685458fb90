#include "s3/bucket_address.hpp"

#include "base/text.hpp"
#include "s3/credentials/sts.hpp"
#include "s3/sigv4.hpp"

#include <fmt/format.h>
#include <boost/asio/ip/address.hpp>

#include <algorithm>

namespace keepstore::s3 {
namespace {

/// Letters, digits, dots, dashes and underscores: valid at some service, Amazon's legacy names included.
bool is_bucket_name(std::string_view name) {
    return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
           std::ranges::all_of(name, [](char c) { return is_alphanumeric(c) || c == '.' || c == '-' || c == '_'; });
}

/// Returns whether the bucket can be the first label of a host name. Not with a dot in it and TLS: certificates for
/// *.host cover one level only.
bool fits_host_name(std::string_view bucket, bool tls) {
    if (bucket.size() < 3 || bucket.size() > 63) return false;
    if (!is_lower_or_digit(bucket.front()) || !is_lower_or_digit(bucket.back())) return false;
    if (bucket.find("..") != std::string_view::npos) return false;
    return std::ranges::all_of(bucket, [&](char c) { return is_lower_or_digit(c) || c == '-' || (c == '.' && !tls); });
}

bool is_ip_address(const std::string& host) {
    boost::system::error_code failed;
    static_cast<void>(boost::asio::ip::make_address(host, failed));
    return !failed;
}

bool is_region_name(std::string_view region) {
    return !region.empty() && region.size() <= 64 && std::ranges::all_of(region, [](char c) {
        return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    });
}

/// "s3.amazonaws.com", "s3.eu-west-1.amazonaws.com", "s3-eu-west-1.amazonaws.com". Amazon's other endpoints (FIPS, VPC,
/// dual stack) were chosen on purpose, and stay.
bool is_plain_amazon_endpoint(std::string_view host) {
    if (!is_amazon_host(host) || !(host.starts_with("s3.") || host.starts_with("s3-"))) return false;
    const auto rest = host.substr(3);
    const auto labels = std::ranges::count(rest.substr(0, rest.find("amazonaws")), '.');
    return labels <= 1 && rest.find("dualstack") == std::string_view::npos &&
           rest.find("fips") == std::string_view::npos && rest.find("accelerate") == std::string_view::npos;
}

}  // namespace

bool is_amazon_host(std::string_view host) noexcept {
    return host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
}

std::string bucket_address::path_of(std::string_view key) const {
    if (key.empty()) return path_prefix.empty() ? "/" : path_prefix;
    return path_prefix + "/" + uri_encode(key, encode_slash::no);
}

result<bucket_address> make_bucket_address(const address_options& options) {
    if (!is_bucket_name(options.bucket)) return fail(errc::bad_request, "Bucket is empty or not a bucket name");
    if (!is_region_name(options.region)) return fail(errc::bad_request, "Region is empty or not the name of a region");

    bucket_address out;
    std::string text(options.endpoint);
    if (text.empty()) {
        text = fmt::format("https://s3.{}.{}", options.region, aws_domain(options.region));
        out.follows_region = true;
    } else if (text.find("://") == std::string::npos) {
        text = "https://" + text;
    }
    auto where = net::parse_url(text);
    if (!where) return fail(errc::bad_request, "Endpoint: " + where.error().text);
    if (where->target.find('?') != std::string::npos) return fail(errc::bad_request, "Endpoint has a query");
    if (!out.follows_region && is_plain_amazon_endpoint(where->to.host)) {
        out.follows_region = true;
        where->to.host = fmt::format("s3.{}.{}", options.region, aws_domain(options.region));
    }
    out.to = where->to;
    out.path_prefix = where->target;
    while (out.path_prefix.ends_with('/')) out.path_prefix.pop_back();

    if (options.path_style || is_ip_address(out.to.host) || out.to.host == "localhost" ||
        !fits_host_name(options.bucket, out.to.tls)) {
        out.path_prefix += "/" + uri_encode(options.bucket, encode_slash::yes);
    } else {
        out.to.host = fmt::format("{}.{}", options.bucket, out.to.host);
    }
    return out;
}

}  // namespace keepstore::s3
