/// An Azure Blob service in memory, with one container: the operations that the driver uses, with their conditions,
/// MD5s and metadata as the REST reference says
/// (https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api). Signatures are not checked. Faults,
/// and changes by other programs, are made by a hook. For what Azurite does not do.
#pragma once

#include "base/base64.hpp"
#include "base/md5_digest.hpp"
#include "cloud/time.hpp"
#include "digest/md5.hpp"
#include "tests/cloud/stub_service.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::test {

class azure_memory_service {
  public:
    static constexpr std::string_view account = "account";
    static constexpr std::string_view container = "keep";

    struct blob {
        std::string content = {};
        std::map<std::string, std::string> metadata = {};  ///< Lower-case names.
        cloud::sys_seconds modified = {};
        std::string md5 = {};  ///< In base64; empty: the service has none.
        std::string etag = {};
        // Blocks by id.
        std::map<std::string, std::string> committed = {};
        std::map<std::string, std::string> uncommitted = {};
        bool exists = true;  ///< Else it has uncommitted blocks only.
    };

    /// What is done with a request before, or instead of, serving it.
    enum class fate {
        serve,
        lose_answer,  ///< Served, and the connection ends without a response.
        reply,        ///< The reply that the hook has filled in.
    };
    /// Called with the operation ("put", "get", "head", "set_metadata", "delete", "list", "put_block",
    /// "put_block_list", "head_container") and the request; may change blobs.
    using hook_type = std::function<fate(const std::string& operation, const seen_request&, stub_reply&)>;

    azure_memory_service() : service_([this](const seen_request& r, std::size_t) { return serve(r); }) {}

    [[nodiscard]] std::string url() const { return service_.url(); }
    [[nodiscard]] stub_service& service() noexcept { return service_; }

    void set_hook(hook_type hook) {
        const std::lock_guard lock(mutex_);
        hook_ = std::make_shared<hook_type>(std::move(hook));
    }

    // The container without the volume.

    [[nodiscard]] std::optional<blob> find(const std::string& name) const {
        const std::lock_guard lock(mutex_);
        const auto found = blobs_.find(name);
        if (found == blobs_.end() || !found->second.exists) return std::nullopt;
        return found->second;
    }
    /// Stores a blob as another program would, `age` ago.
    void store(const std::string& name, std::string content, std::map<std::string, std::string> metadata = {},
               std::chrono::seconds age = std::chrono::seconds(0)) {
        const std::lock_guard lock(mutex_);
        blob b{.content = std::move(content), .metadata = std::move(metadata)};
        b.md5 = md5_text(b.content);
        renew(b);
        b.modified -= age;
        blobs_[name] = std::move(b);
    }
    /// Changes a blob, which gets a new ETag and time; within a hook as well.
    void change(const std::string& name, const std::function<void(blob&)>& how) {
        const std::lock_guard lock(mutex_);
        change_unlocked(name, how);
    }
    void set_modified(const std::string& name, cloud::sys_seconds when) {
        const std::lock_guard lock(mutex_);
        blobs_.at(name).modified = when;
    }
    void remove(const std::string& name) {
        const std::lock_guard lock(mutex_);
        blobs_.erase(name);
    }
    /// How many requests of this operation were served or met a fault.
    [[nodiscard]] std::size_t count(const std::string& operation) const {
        const std::lock_guard lock(mutex_);
        const auto found = counts_.find(operation);
        return found == counts_.end() ? 0 : found->second;
    }

    [[nodiscard]] static stub_reply failure(unsigned status, const std::string& code) {
        return {.status = status,
                .body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>" + code + "</Code></Error>",
                .headers = {{"x-ms-error-code", code}, {"x-ms-request-id", "rq1"}}};
    }

  private:
    using query_type = std::map<std::string, std::string>;

    static std::string md5_text(std::string_view content) {
        const auto digest = digest::md5_of(std::as_bytes(std::span(content)));
        return encode_base64(std::as_bytes(std::span(digest.bytes)));
    }
    static cloud::sys_seconds this_second() {
        return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    }
    void renew(blob& b) {
        b.modified = this_second();
        b.etag = "0x8D" + std::to_string(++etags_);
    }
    void change_unlocked(const std::string& name, const std::function<void(blob&)>& how) {
        auto& b = blobs_.at(name);
        how(b);
        renew(b);
    }

    static std::string unescape(std::string_view text) {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '%' && i + 2 < text.size()) {
                out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
                i += 2;
            } else {
                out += text[i];
            }
        }
        return out;
    }
    static query_type query_of(const seen_request& r) {
        query_type out;
        const auto mark = r.target.find('?');
        for (std::size_t at = mark; at != std::string::npos && at < r.target.size();) {
            const auto end = std::min(r.target.find('&', at + 1), r.target.size());
            const auto one = r.target.substr(at + 1, end - at - 1);
            const auto equals = std::min(one.find('='), one.size());
            out[unescape(one.substr(0, equals))] = equals < one.size() ? unescape(one.substr(equals + 1)) : "";
            at = end;
        }
        return out;
    }
    static std::map<std::string, std::string> metadata_of(const seen_request& r) {
        std::map<std::string, std::string> out;
        for (const auto& [name, value] : r.headers) {
            if (name.starts_with("x-ms-meta-")) out[name.substr(10)] = value;
        }
        return out;
    }

    static std::string operation_of(const seen_request& r, const query_type& query, const std::string& key) {
        const auto comp = query.contains("comp") ? query.at("comp") : "";
        if (key.empty()) return comp == "list" ? "list" : "head_container";
        if (r.method == "PUT") {
            if (comp == "metadata") return "set_metadata";
            if (comp == "block") return "put_block";
            if (comp == "blocklist") return "put_block_list";
            return "put";
        }
        return r.method == "DELETE" ? "delete" : r.method == "HEAD" ? "head" : "get";
    }

    stub_reply serve(const seen_request& r) {
        // "/account/keep/KEY"
        const auto path = unescape(r.path());
        const std::string root = "/" + std::string(account) + "/" + std::string(container);
        if (path != root && !path.starts_with(root + "/")) return failure(404, "ContainerNotFound");
        const auto key = path.size() > root.size() ? path.substr(root.size() + 1) : "";
        const auto query = query_of(r);
        const auto operation = operation_of(r, query, key);
        // A client that ended its connection in mid-body has sent nothing.
        if (const auto length = r.header("content-length"); !length.empty() && r.body.size() != std::stoul(length))
            return {.hang_up = true};
        std::shared_ptr<hook_type> hook;
        {
            const std::lock_guard lock(mutex_);
            ++counts_[operation];
            hook = hook_;
        }
        stub_reply reply;
        const auto what = hook && *hook ? (*hook)(operation, r, reply) : fate::serve;
        if (what == fate::reply) return reply;
        {
            const std::lock_guard lock(mutex_);
            reply = respond(operation, r, query, key);
        }
        if (what == fate::lose_answer) return {.hang_up = true};
        reply.headers.emplace_back("x-ms-request-id", "rq1");
        reply.headers.emplace_back("x-ms-version", "2021-12-02");
        reply.headers.emplace_back("Date", cloud::format_http_date(this_second()));
        return reply;
    }

    /// The reply to a condition that does not hold.
    static std::optional<stub_reply> refusal(const seen_request& r, const blob* there) {
        const auto match = r.header("if-match");
        if (!match.empty() && match != "*" && there && match != "\"" + there->etag + "\"")
            return failure(412, "ConditionNotMet");
        if (!match.empty() && !there) return failure(412, "ConditionNotMet");
        if (r.header("if-none-match") == "*" && there) return failure(409, "BlobAlreadyExists");
        return std::nullopt;
    }

    stub_reply respond(const std::string& operation, const seen_request& r, const query_type& query,
                       const std::string& key) {
        if (operation == "list") return list(query);
        if (operation == "head_container")
            return {.headers = {{"ETag", "\"0x1\""}, {"Last-Modified", cloud::format_http_date(this_second())}}};
        const auto found = blobs_.find(key);
        blob* const there = found == blobs_.end() || !found->second.exists ? nullptr : &found->second;
        const bool creates = operation.starts_with("put");
        if (!there && !creates) return failure(404, "BlobNotFound");
        if (operation != "put_block") {
            if (auto refused = refusal(r, there)) return std::move(*refused);
        }
        if (operation == "put" || operation == "put_block") {
            if (const auto sent = r.header("content-md5"); !sent.empty() && sent != md5_text(r.body))
                return failure(400, "Md5Mismatch");
        }
        if (operation == "put") {
            blob b{.content = r.body, .metadata = metadata_of(r), .md5 = md5_text(r.body)};
            return stored(blobs_[key] = std::move(b));
        }
        if (operation == "put_block") {
            auto& b = blobs_[key];
            if (!there) b.exists = false;
            b.uncommitted[query.at("blockid")] = r.body;
            return {.status = 201};
        }
        if (operation == "put_block_list") return commit(r, key);
        if (operation == "set_metadata") {
            there->metadata = metadata_of(r);
            auto reply = stored(*there);
            reply.status = 200;
            return reply;
        }
        if (operation == "delete") {
            blobs_.erase(found);
            return {.status = 202};
        }
        return content_of(r, *there);
    }

    stub_reply stored(blob& b) {
        b.exists = true;
        renew(b);
        return {.status = 201,
                .headers = {{"ETag", "\"" + b.etag + "\""}, {"Last-Modified", cloud::format_http_date(b.modified)}}};
    }

    stub_reply commit(const seen_request& r, const std::string& key) {
        auto& b = blobs_[key];
        std::string content;
        std::map<std::string, std::string> used;
        for (std::size_t at = r.body.find("<Latest>"); at != std::string::npos; at = r.body.find("<Latest>", at)) {
            at += std::string_view("<Latest>").size();
            const auto id = r.body.substr(at, r.body.find('<', at) - at);
            const auto& from = b.uncommitted.contains(id) ? b.uncommitted : b.committed;
            if (!from.contains(id)) return failure(400, "InvalidBlockList");
            content += used[id] = from.at(id);
        }
        b = {.content = std::move(content), .metadata = metadata_of(r), .md5 = r.header("x-ms-blob-content-md5")};
        b.committed = std::move(used);
        return stored(b);
    }

    static stub_reply content_of(const seen_request& r, const blob& b) {
        stub_reply reply{.body = b.content,
                         .headers = {{"ETag", "\"" + b.etag + "\""},
                                     {"Last-Modified", cloud::format_http_date(b.modified)},
                                     {"x-ms-blob-type", "BlockBlob"}}};
        for (const auto& [name, value] : b.metadata) reply.headers.emplace_back("x-ms-meta-" + name, value);
        auto range = r.header("x-ms-range");
        if (range.empty()) range = r.header("range");
        if (range.empty()) {
            if (!b.md5.empty()) reply.headers.emplace_back("Content-MD5", b.md5);
            return reply;
        }
        const auto dash = range.find('-');
        const auto first = std::stoul(range.substr(6, dash - 6));
        if (first >= b.content.size()) return failure(416, "InvalidRange");
        const auto last = dash + 1 < range.size() ? std::min(std::stoul(range.substr(dash + 1)), b.content.size() - 1)
                                                  : b.content.size() - 1;
        reply.status = 206;
        reply.body = b.content.substr(first, last - first + 1);
        reply.headers.emplace_back("Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) +
                                                        "/" + std::to_string(b.content.size()));
        if (!b.md5.empty()) reply.headers.emplace_back("x-ms-blob-content-md5", b.md5);
        return reply;
    }

    stub_reply list(const query_type& query) const {
        const auto get = [&](const std::string& name) { return query.contains(name) ? query.at(name) : ""; };
        const auto prefix = get("prefix");
        const auto most = get("maxresults").empty() ? 5000 : std::stoul(get("maxresults"));
        std::string body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>";
        std::string next;
        std::size_t listed = 0;
        for (auto at = blobs_.lower_bound(std::max(prefix, get("marker")));
             at != blobs_.end() && at->first.starts_with(prefix); ++at) {
            const auto& [name, b] = *at;
            if (!b.exists) continue;
            if (listed++ == most) {
                next = name;
                break;
            }
            body += "<Blob><Name>" + name + "</Name><Properties><Last-Modified>" + cloud::format_http_date(b.modified) +
                    "</Last-Modified><Etag>" + b.etag + "</Etag><Content-Length>" + std::to_string(b.content.size()) +
                    "</Content-Length><Content-MD5>" + b.md5 +
                    "</Content-MD5><BlobType>BlockBlob</BlobType></Properties><Metadata>";
            for (const auto& [key, value] : b.metadata) body += "<" + key + ">" + value + "</" + key + ">";
            body += "</Metadata></Blob>";
        }
        body += "</Blobs><NextMarker>" + next + "</NextMarker></EnumerationResults>";
        return {.body = std::move(body), .headers = {{"Content-Type", "application/xml"}}};
    }

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::map<std::string, blob> blobs_;
    std::map<std::string, std::size_t> counts_;
    std::shared_ptr<hook_type> hook_;  ///< May keep state of its own.
    std::uint64_t etags_ = 0;
    stub_service service_;  // Last: it uses the others.
};

}  // namespace keepstore::test
