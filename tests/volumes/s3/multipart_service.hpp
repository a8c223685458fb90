/// A service that takes blocks in parts, with faults.
#pragma once

#include "base/base64.hpp"
#include "digest/md5.hpp"
#include "tests/cloud/stub_service.hpp"
#include "tests/contract/volume_harness.hpp"
#include "tests/volumes/stub_volume.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <map>
#include <thread>

namespace keepstore::test {

inline constexpr std::size_t part_bytes = limits::cloud_part_bytes;
inline constexpr std::size_t smallest = limits::cloud_parallel_block_bytes_min;

inline std::string parameter(const std::string& target, const std::string& name) {
    const auto at = target.find(name + "=");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 1;
    return target.substr(begin, target.find('&', begin) - begin);
}

inline stub_reply part_error(unsigned status, const std::string& code) {
    return {.status = status, .body = "<Error><Code>" + code + "</Code></Error>"};
}

/// The multipart side of a service, which checks what it is sent as S3 does.
class multipart_service {
  public:
    /// What to answer instead: called for every request with its kind ("create", "part", "complete", "abort", "put")
    /// and how many of the kind came before it; nullopt: what S3 would answer.
    using harm_type = std::function<std::optional<stub_reply>(const std::string& kind, std::size_t before)>;

    /// \param odd  what has an ETag that is not Amazon's: "part" or "complete".
    explicit multipart_service(harm_type harm = {}, std::string odd = {}, std::string odd_etag = {})
        : harm_(std::move(harm)),
          odd_(std::move(odd)),
          odd_etag_(std::move(odd_etag)),
          service_([this](const seen_request& r, std::size_t) { return answer(r); }) {}

    /// The first completion gets no response, and the next ones that there is no such upload.
    void lose_first_completion() { loses_completion_ = true; }

    [[nodiscard]] volumes::s3_options options() const {
        auto o = stub_options(service_.url(), 2);
        o.protect_for = std::chrono::hours(1);
        o.trash_lifetime = std::chrono::hours(1);
        o.always_parts = true;
        return o;
    }
    [[nodiscard]] std::size_t count(const std::string& kind) const {
        const std::lock_guard lock(mutex_);
        return static_cast<std::size_t>(std::ranges::count(kinds_, kind));
    }
    [[nodiscard]] std::vector<std::string> kinds() const {
        const std::lock_guard lock(mutex_);
        return kinds_;
    }
    /// The object's content; nullopt: there is none.
    [[nodiscard]] std::optional<std::string> object() const {
        const std::lock_guard lock(mutex_);
        return object_;
    }
    [[nodiscard]] std::vector<std::size_t> part_sizes() const {
        const std::lock_guard lock(mutex_);
        std::vector<std::size_t> out;
        for (const auto& [number, body] : parts_) out.push_back(body.size());
        return out;
    }

  private:
    static std::string kind_of(const seen_request& r) {
        if (r.target.find("list-type=2") != std::string::npos) return "list";
        if (r.target.find("uploads") != std::string::npos) return "create";
        if (r.target.find("partNumber=") != std::string::npos) return "part";
        if (r.path().find("/recent/") != std::string::npos) return "marker";
        if (r.method == "POST") return "complete";
        if (r.method == "DELETE") return "abort";
        return r.method == "PUT" ? "put" : r.method == "HEAD" ? "head" : r.method == "GET" ? "get" : "other";
    }
    static std::string content_md5(const std::string& body) {
        const auto digest = digest::md5_of(std::as_bytes(std::span(body)));
        return encode_base64(std::as_bytes(std::span(digest.bytes)));
    }
    static std::string etag(const std::string& body) { return digest::md5_of(std::as_bytes(std::span(body))).hex(); }
    stub_reply answer(const seen_request& r) {
        const std::lock_guard lock(mutex_);
        const auto kind = kind_of(r);
        if (kind == "list") return {.body = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"};
        const auto before = static_cast<std::size_t>(std::ranges::count(kinds_, kind));
        kinds_.push_back(kind);
        if (harm_) {
            if (auto instead = harm_(kind, before)) return *instead;
        }
        if (kind == "create")
            return {.body = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"};
        if (kind == "part") {
            if (r.header("content-md5") != content_md5(r.body)) return part_error(400, "BadDigest");
            parts_[std::stoul(parameter(r.target, "partNumber"))] = r.body;
            return {.headers = {{"ETag", "\"" + (odd_ == kind ? odd_etag_ : etag(r.body)) + "\""}}};
        }
        if (kind == "complete") {
            if (loses_completion_ && before > 0) return part_error(404, "NoSuchUpload");
            auto reply = complete(r);
            reply.hang_up = loses_completion_;
            return reply;
        }
        if (kind == "abort") return {.status = 204};
        if (kind == "get") {
            if (!object_) return part_error(404, "NoSuchKey");
            return {.body = *object_,
                    .headers = {{"ETag", "\"e\""}, {"Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT"}}};
        }
        if (kind == "put") object_ = r.body;
        return {.headers = {{"ETag", "\"" + etag(r.body) + "\""}}};
    }
    stub_reply complete(const seen_request& r) {
        std::string whole;
        std::vector<std::string> etags;
        std::size_t at = 0;
        for (const auto& [number, body] : parts_) {
            etags.push_back(etag(body));
            whole += body;
            at = r.body.find(odd_ == "part" ? odd_etag_ : etags.back(), at);
            if (at == std::string::npos) return part_error(400, "InvalidPart");
        }
        object_ = whole;
        const auto right = s3::multipart_etag(etags).value();
        return {.body = "<CompleteMultipartUploadResult><ETag>&quot;" + (odd_ == "complete" ? odd_etag_ : right) +
                        "&quot;</ETag></CompleteMultipartUploadResult>"};
    }

    const harm_type harm_;
    const std::string odd_;
    const std::string odd_etag_;
    std::atomic<bool> loses_completion_ = false;
    mutable std::mutex mutex_;
    std::vector<std::string> kinds_;
    std::map<unsigned long, std::string> parts_;
    std::optional<std::string> object_;
    stub_service service_;  // First to go.
};

}  // namespace keepstore::test
