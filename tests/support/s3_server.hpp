/// The real S3 server that ctest starts for the tests of a target made with `keepstore_test(... S3)`.
///
///     const auto server = s3_server::find();
///     if (!server) return;  // It has said "skipped: " and why, which ctest counts.
///     const s3_bucket bucket(*server);
///
/// Outside of ctest: in tests/system, `python3 -m support.radosgw start FOLDER --publish FILE`, then
/// KEEPSTORE_TEST_S3=FILE.
#pragma once

#include "tests/support/run_tool.hpp"

#include <nlohmann/json.hpp>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::test {

struct s3_server {
    std::string host;
    std::uint16_t port = 0;
    std::string endpoint;      ///< "http://host:port"
    std::string tls_endpoint;  ///< "https://host:port", or empty; its certificate is signed by ca_file.
    std::string ca_file;
    std::string region;
    std::string access_key;
    std::string secret_key;
    /// A command that looks at buckets without the code under test: arguments URL-OF-A-BUCKET, make|remove|list|...
    std::vector<std::string> tool;

    /// nullopt, and the reason on standard output, if there is no server.
    /// \throws nlohmann::json::exception if what was published makes no sense.
    static std::optional<s3_server> find() {
        const char* const file = std::getenv("KEEPSTORE_TEST_S3");
        std::ifstream input(file == nullptr ? "" : file);
        if (!input) {
            std::cout << "skipped: no S3 server has been started\n";
            return std::nullopt;
        }
        const auto info = nlohmann::json::parse(input);
        if (info.contains("skipped")) {
            std::cout << "skipped: " << info["skipped"].get<std::string>() << '\n';
            return std::nullopt;
        }
        return s3_server{.host = info.at("host"),
                         .port = info.at("port"),
                         .endpoint = info.at("endpoint"),
                         .tls_endpoint = info.value("tls_endpoint", ""),
                         .ca_file = info.value("ca_file", ""),
                         .region = info.at("region"),
                         .access_key = info.at("access_key"),
                         .secret_key = info.at("secret_key"),
                         .tool = info.at("tool")};
    }

    /// Runs the tool on a bucket. \throws std::runtime_error if it fails; it has said why on standard error.
    void run_tool(const std::string& bucket, const std::string& what) const {
        test::run_tool(tool, {endpoint + "/" + bucket, what},
                       {"AWS_ACCESS_KEY_ID=" + access_key, "AWS_SECRET_ACCESS_KEY=" + secret_key});
    }
};

/// A bucket of a test's own, removed with all that is in it.
class s3_bucket {
  public:
    explicit s3_bucket(const s3_server& server) : server_(server), name_(new_name()) {
        server_.run_tool(name_, "make");
    }
    ~s3_bucket() {
        try {
            server_.run_tool(name_, "remove");
        } catch (const std::exception& e) {
            std::cerr << e.what() << '\n';
        }
    }
    s3_bucket(const s3_bucket&) = delete;
    s3_bucket& operator=(const s3_bucket&) = delete;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

  private:
    static std::string new_name() {
        static std::atomic<int> count = 0;
        return unique_tool_name(count++);
    }

    const s3_server server_;
    const std::string name_;
};

}  // namespace keepstore::test
