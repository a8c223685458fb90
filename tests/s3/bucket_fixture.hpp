/// A client of a stub service, and responses of S3.
#pragma once

#include "s3/client.hpp"
#include "s3/credentials/credential_sources.hpp"
#include "s3/error.hpp"
#include "tests/cloud/object_fixture.hpp"
#include "tests/cloud/stub_service.hpp"
#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

namespace keepstore::test {

inline const std::string stub_etag = "\"9b2cf535f27731c974343645a3985328\"";

/// Headers of a HEAD or GET.
inline stub_reply object_reply(std::string body, unsigned status = 200) {
    return {.status = status,
            .body = std::move(body),
            .headers = {{"ETag", stub_etag},
                        {"Last-Modified", "Mon, 12 Oct 2009 17:50:03 GMT"},
                        {"X-Amz-Meta-Waypoints", "AAECAw=="},
                        {"x-amz-request-id", "tx1"}}};
}

inline stub_reply error_reply(unsigned status, const std::string& code, const std::string& more = "") {
    return {.status = status,
            .body = "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code>" + more + "</Error>",
            .headers = {{"x-amz-request-id", "tx2"}}};
}

/// S3's response to a ranged GET of `content`.
inline stub_reply ranged_reply(const seen_request& request, const std::string& content) {
    const auto range = request.header("range");
    if (range.empty()) return object_reply(content);
    const auto dash = range.find('-');
    const auto first = std::stoul(range.substr(6, dash - 6));
    const auto last_text = range.substr(dash + 1);
    const auto last = std::min(last_text.empty() ? content.size() - 1 : std::stoul(last_text), content.size() - 1);
    if (first >= content.size()) return error_reply(416, "InvalidRange");
    auto reply = object_reply(content.substr(first, last - first + 1), 206);
    reply.headers.emplace_back("Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                                                    std::to_string(content.size()));
    return reply;
}

/// The same from a server that does not say how large the object is.
inline stub_reply without_total(stub_reply ranged) {
    for (auto& [name, value] : ranged.headers)
        if (name == "Content-Range") value.replace(value.find('/'), std::string::npos, "/*");
    return ranged;
}

/// Returns the keys "K0", "K1", ... one after the other.
class counting_source final : public s3::credentials_source {
  public:
    explicit counting_source(std::shared_ptr<std::atomic<int>> fetched) : fetched_(std::move(fetched)) {}
    [[nodiscard]] awaitable<result<s3::credentials>> fetch(deadline) override {
        s3::credentials out;
        const auto number = std::to_string((*fetched_)++);
        out.keys = {"K" + number, s3::secret_string("secret" + number), s3::secret_string("token" + number)};
        out.source = "counting";
        co_return out;
    }

  private:
    const std::shared_ptr<std::atomic<int>> fetched_;
};

inline std::shared_ptr<s3::credentials_cache> fixed_keys() {
    s3::credentials_config config;
    config.access_key_id = "AKID";
    config.secret_access_key = s3::secret_string("secret");
    return *s3::make_credentials(std::move(config));
}

/// Options without waits between attempts.
inline s3::client_options stub_options(const stub_service& service) {
    s3::client_options out;
    out.endpoint = service.url();
    out.bucket = "keep";
    out.region = "us-east-1";
    out.retry.random = [] { return 0.0; };
    out.connect_timeout = std::chrono::seconds(5);
    out.read_timeout = std::chrono::seconds(5);
    return out;
}

inline s3::client make_bucket(s3::client_options options, std::shared_ptr<s3::credentials_cache> keys = fixed_keys()) {
    auto made = s3::client::make(std::move(options), std::move(keys));
    if (!made) throw std::runtime_error(made.error().text);
    return std::move(*made);
}
inline s3::client make_bucket(const stub_service& service) {
    return make_bucket(stub_options(service));
}

}  // namespace keepstore::test
