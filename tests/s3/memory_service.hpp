/// A stub that stores objects, as far as tests of the probe need a bucket. It can have one fault.
#pragma once

#include "base/base64.hpp"
#include "base/hex.hpp"
#include "s3/sigv4.hpp"
#include "tests/s3/bucket_fixture.hpp"

#include <openssl/evp.h>

#include <map>
#include <string>

namespace keepstore::test {

class memory_service {
  public:
    enum class vice {
        none,
        takes_wrong_digest,
        loses_bytes,
        keeps_deleted,
        no_copy,
        denies,
        denies_list,
        denies_delete,
        other_etags  ///< In the form of an MD5.
    };

    explicit memory_service(vice bad = vice::none)
        : bad_(bad), service_([this](const seen_request& r, std::size_t) { return answer(r); }) {}

    [[nodiscard]] const stub_service& service() const { return service_; }
    [[nodiscard]] std::size_t objects() const { return objects_.size(); }  ///< When no request runs.

  private:
    struct object {
        std::string content;
        std::string probe;
    };

    static std::array<std::uint8_t, 16> md5(const std::string& text) {
        std::array<std::uint8_t, 16> out{};
        EVP_Digest(text.data(), text.size(), out.data(), nullptr, EVP_md5(), nullptr);
        return out;
    }

    stub_reply answer(const seen_request& r) {
        if (r.header("authorization").empty() || bad_ == vice::denies) return error_reply(403, "AccessDenied");
        const auto path = r.path();
        // Without s3:ListBucket access to missing objects is denied.
        const bool hides = bad_ == vice::denies_list;
        if (hides && (path == "/keep" || (r.method == "GET" && !objects_.contains(path)))) {
            return error_reply(403, "AccessDenied");
        }
        if (hides && r.method == "HEAD" && !objects_.contains(path)) return {.status = 403};
        if (r.method == "DELETE" && bad_ == vice::denies_delete) return error_reply(403, "AccessDenied");
        if (path == "/keep") {
            if (r.target.find("uploads=") != std::string::npos) {
                return {
                    .body =
                        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"};
            }
            return {.body = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"};
        }
        if (r.method == "POST") {
            return {.body = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"};
        }
        if (r.method == "DELETE") {
            if (bad_ != vice::keeps_deleted) objects_.erase(path);
            return {.status = 204};
        }
        if (r.method == "PUT") return put(r, path);
        const auto found = objects_.find(path);
        if (found == objects_.end()) return error_reply(404, "NoSuchKey");
        auto reply = ranged_reply(r, found->second.content);
        for (auto& [name, value] : reply.headers) {
            if (name == "X-Amz-Meta-Waypoints") name = "X-Amz-Meta-Probe", value = found->second.probe;
        }
        return reply;
    }

    stub_reply put(const seen_request& r, const std::string& path) {
        if (const auto from = r.header("x-amz-copy-source"); !from.empty()) {
            if (bad_ == vice::no_copy) return error_reply(501, "NotImplemented");
            objects_[path] = objects_.at(from);
            return {.body = "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"};
        }
        const auto digest = md5(r.body);
        const auto announced = r.header("content-md5");
        if (!announced.empty() && announced != encode_base64(std::as_bytes(std::span(digest))) &&
            bad_ != vice::takes_wrong_digest) {
            return error_reply(400, "BadDigest");
        }
        objects_[path] = {bad_ == vice::loses_bytes ? r.body.substr(1) + "x" : r.body, r.header("x-amz-meta-probe")};
        if (bad_ == vice::other_etags) return {.headers = {{"ETag", stub_etag}}};
        return {.headers = {{"ETag", "\"" + to_hex(digest) + "\""}}};
    }

    const vice bad_;
    std::map<std::string, object> objects_;  // Touched by the handler only, which runs for one request at a time.
    stub_service service_;
};

}  // namespace keepstore::test
