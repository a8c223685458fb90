/// A volume on a scripted service, and the responses that such a service sends.
#pragma once

#include "cloud/time.hpp"
#include "digest/md5.hpp"
#include "tests/cloud/stub_service.hpp"
#include "tests/contract/volume_harness.hpp"
#include "tests/volumes/stub_volume.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

#include <ctime>
#include <set>
#include <thread>

namespace keepstore::test {

using std::chrono::hours;
using std::chrono::seconds;

inline volumes::s3_options stub_volume(const stub_service& service) {
    auto o = stub_options(service.url(), 1);
    o.protect_for = hours(1);
    o.trash_lifetime = hours(1);
    return o;
}

inline stub_reply empty_listing() {
    return {.body = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"};
}
inline bool is_listing(const seen_request& r) {
    return r.target.find("list-type=2") != std::string::npos;
}
inline stub_reply stored_as(const std::string& etag) {
    return {.headers = {{"ETag", "\"" + etag + "\""}}};
}
inline stub_reply refused_with(unsigned status, const std::string& code) {
    return {.status = status, .body = "<Error><Code>" + code + "</Code></Error>"};
}
inline std::string md5_hex(const bytes& content) {
    return digest::md5_of(content).hex();
}
inline bool is_marker(const seen_request& r) {
    return r.path().find("/recent/") != std::string::npos;
}

/// With a header that only S3 sends.
inline stub_reply signed_reply(unsigned status) {
    return {.status = status, .headers = {{"x-amz-request-id", "tx1"}}};
}

inline s3::sys_seconds now_seconds() {
    return std::chrono::floor<seconds>(std::chrono::system_clock::now());
}
inline std::string http_date(seconds from_now) {
    return s3::format_http_date(now_seconds() + from_now);
}
/// As XML has it.
inline std::string iso_date(seconds from_now) {
    const auto at = std::chrono::system_clock::to_time_t(now_seconds() + from_now);
    std::tm parts{};
    ::gmtime_r(&at, &parts);
    char text[32];
    const auto size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", &parts);
    return {text, size};
}
/// When the request was signed, by the clock that it was signed with.
inline s3::sys_seconds signed_at(const seen_request& r) {
    const auto date = r.header("x-amz-date");
    const auto iso = date.substr(0, 4) + "-" + date.substr(4, 2) + "-" + date.substr(6, 5) + ":" + date.substr(11, 2) +
                     ":" + date.substr(13);
    return s3::parse_iso_date(iso).value_or(s3::sys_seconds());
}

}  // namespace keepstore::test
