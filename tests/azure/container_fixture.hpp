/// A client of a stub service, and responses of Azure.
#pragma once

#include "azure/client.hpp"
#include "azure/credentials/authorization.hpp"
#include "tests/cloud/object_fixture.hpp"
#include "tests/cloud/stub_service.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

namespace keepstore::test {

/// The key of the account in Microsoft's documentation of its emulators: public.
inline const std::string emulator_key =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

inline const std::string stub_etag = "\"0x8D9F0A2B3C4D5E6\"";
inline const std::string stub_modified = "Mon, 12 Oct 2009 17:50:03 GMT";

/// Headers of every response that stands for a blob or a change of one.
inline std::vector<std::pair<std::string, std::string>> blob_headers() {
    return {{"ETag", stub_etag},
            {"Last-Modified", stub_modified},
            {"x-ms-version", "2021-12-02"},
            {"x-ms-request-id", "rq1"}};
}

inline stub_reply changed_reply(unsigned status = 201) {
    return {.status = status, .headers = blob_headers()};
}

/// A Get Blob or Get Blob Properties.
inline stub_reply blob_reply(std::string body, unsigned status = 200) {
    auto headers = blob_headers();
    headers.emplace_back("x-ms-blob-type", "BlockBlob");
    headers.emplace_back("x-ms-meta-Waypoints", "AAECAw==");
    return {.status = status, .body = std::move(body), .headers = std::move(headers)};
}

/// The code in header and body, as Azure sends it.
inline stub_reply azure_error(unsigned status, const std::string& code) {
    return {.status = status,
            .body = "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>" + code +
                    "</Code><Message>in English\nRequestId:rq2</Message></Error>",
            .headers = {{"x-ms-error-code", code}, {"x-ms-request-id", "rq2"}, {"x-ms-version", "2021-12-02"}}};
}

/// Azure's response to a ranged GET of `content`.
inline stub_reply ranged_blob_reply(const seen_request& request, const std::string& content) {
    const auto range = request.header("range");
    if (range.empty()) return blob_reply(content);
    const auto dash = range.find('-');
    const auto first = std::stoul(range.substr(6, dash - 6));
    const auto last_text = range.substr(dash + 1);
    const auto last = std::min(last_text.empty() ? content.size() - 1 : std::stoul(last_text), content.size() - 1);
    if (first >= content.size()) return azure_error(416, "InvalidRange");
    auto reply = blob_reply(content.substr(first, last - first + 1), 206);
    reply.headers.emplace_back("Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                                                    std::to_string(content.size()));
    return reply;
}

/// Options without waits between attempts.
inline azure::client_options stub_options(const stub_service& service) {
    azure::client_options out;
    out.endpoint = service.url();
    out.account = "acct";
    out.container = "keep";
    out.retry.random = [] { return 0.0; };
    out.connect_timeout = std::chrono::seconds(5);
    out.read_timeout = std::chrono::seconds(5);
    return out;
}

inline azure::authorization account_key() {
    return *azure::parse_account_key(emulator_key);
}

/// Returns the tokens "T0", "T1", ... one after the other.
class counting_source final : public cloud::credentials_source {
  public:
    [[nodiscard]] awaitable<result<cloud::credentials>> fetch(deadline) override {
        cloud::credentials out;
        out.keys.session_token = cloud::secret_string("T" + std::to_string(fetched_++));
        out.source = "counting";
        co_return out;
    }

  private:
    int fetched_ = 0;
};

inline azure::authorization counting_tokens() {
    return std::make_shared<cloud::credentials_cache>(std::make_unique<counting_source>());
}

inline azure::client make_container(azure::client_options options, azure::authorization how = account_key()) {
    auto made = azure::client::make(std::move(options), std::move(how));
    if (!made) throw std::runtime_error(made.error().text);
    return std::move(*made);
}
inline azure::client make_container(const stub_service& service) {
    return make_container(stub_options(service));
}

}  // namespace keepstore::test
