/// A stub that stores blobs, as far as tests of the probe need a container. It can have one fault.
#pragma once

#include "base/base64.hpp"
#include "cloud/probe.hpp"
#include "tests/azure/container_fixture.hpp"

#include <map>
#include <string>

namespace keepstore::test {

class memory_container {
  public:
    enum class vice {
        none,
        takes_wrong_digest,
        loses_bytes,
        keeps_deleted,
        ignores_conditions,
        ignores_if_match,
        ignores_if_absent,
        loses_metadata,
        denies,
        no_container,
        is_immutable,
        is_public,
    };

    explicit memory_container(vice bad = vice::none)
        : bad_(bad), service_([this](const seen_request& r, std::size_t number) { return answer(r, number); }) {}

    [[nodiscard]] const stub_service& service() const { return service_; }
    [[nodiscard]] std::size_t blobs() const { return blobs_.size(); }  ///< When no request runs.
    void store(const std::string& name, const std::string& content) { blobs_["/acct/keep/" + name] = {content, "0x0"}; }

  private:
    struct blob {
        std::string content;
        std::string etag;
        std::string probe = {};
    };

    stub_reply describe(const std::string& etag, unsigned status) const {
        auto reply = changed_reply(status);
        reply.headers.front().second = "\"" + etag + "\"";
        return reply;
    }

    stub_reply answer(const seen_request& r, std::size_t number) {
        if (r.header("authorization").empty()) return azure_error(401, "NoAuthenticationInformation");
        if (bad_ == vice::denies) return azure_error(403, "AuthenticationFailed");
        if (bad_ == vice::no_container) return azure_error(404, "ContainerNotFound");
        const auto path = r.path();
        if (path == "/acct/keep") return r.method == "HEAD" ? properties() : page();
        const auto found = blobs_.find(path);
        const bool exists = found != blobs_.end();
        const auto wanted = r.header("if-match");
        const bool heeds = bad_ != vice::ignores_conditions;
        if (heeds && bad_ != vice::ignores_if_match && !wanted.empty() &&
            (!exists || wanted != "\"" + found->second.etag + "\""))
            return azure_error(412, "ConditionNotMet");
        if (heeds && bad_ != vice::ignores_if_absent && r.header("if-none-match") == "*" && exists)
            return azure_error(409, "BlobAlreadyExists");
        const auto etag = "0x" + std::to_string(number + 1);
        if (r.method == "PUT" && !r.target.contains("comp=")) return put(r, path, etag);
        if (!exists) return azure_error(404, "BlobNotFound");
        if (r.method == "PUT") {
            found->second.etag = etag;
            if (bad_ != vice::loses_metadata) found->second.probe = r.header("x-ms-meta-probe");
            return describe(etag, 200);
        }
        if (r.method == "DELETE") {
            if (bad_ != vice::keeps_deleted) blobs_.erase(found);
            return changed_reply(202);
        }
        auto reply = ranged_blob_reply(r, found->second.content);
        reply.headers.front().second = "\"" + found->second.etag + "\"";
        reply.headers.emplace_back("x-ms-meta-probe", found->second.probe);
        reply.headers.emplace_back(reply.status == 206 ? "x-ms-blob-content-md5" : "Content-MD5",
                                   cloud::encode_content_md5(cloud::md5_of(found->second.content)));
        return reply;
    }

    stub_reply put(const seen_request& r, const std::string& path, const std::string& etag) {
        const auto announced = r.header("content-md5");
        const bool matches = announced == cloud::encode_content_md5(cloud::md5_of(r.body));
        if (!matches && bad_ != vice::takes_wrong_digest) return azure_error(400, "Md5Mismatch");
        auto content = bad_ == vice::loses_bytes ? r.body.substr(1) + "x" : r.body;
        blobs_[path] = {std::move(content), etag, r.header("x-ms-meta-probe")};
        return describe(etag, 201);
    }

    stub_reply properties() const {
        auto reply = changed_reply(200);
        if (bad_ == vice::is_immutable) reply.headers.emplace_back("x-ms-has-immutability-policy", "true");
        if (bad_ == vice::is_public) reply.headers.emplace_back("x-ms-blob-public-access", "blob");
        return reply;
    }

    stub_reply page() const {
        std::string entries;
        for (const auto& [path, one] : blobs_) {
            entries += "<Blob><Name>" + path.substr(11) + "</Name><Properties><Last-Modified>" + stub_modified +
                       "</Last-Modified><Content-Length>" + std::to_string(one.content.size()) +
                       "</Content-Length></Properties></Blob>";
        }
        return {.body = "<EnumerationResults><Blobs>" + entries + "</Blobs><NextMarker/></EnumerationResults>",
                .headers = {{"x-ms-request-id", "rq1"}}};
    }

    const vice bad_;
    std::map<std::string, blob> blobs_;  // Touched by the handler only, which runs for one request at a time.
    stub_service service_;
};

}  // namespace keepstore::test
