/// The real Blob service that ctest starts for the tests of a target made with `keepstore_test(... AZURE)`.
///
///     const auto server = azure_server::find();
///     if (!server) return;  // It has said "skipped: " and why, which ctest counts.
///     const azure_container container(*server);
///
/// Outside of ctest: in tests/system, `python3 -m support.azurite start FOLDER --publish FILE`, then
/// KEEPSTORE_TEST_AZURE=FILE.
#pragma once

#include "tests/support/run_tool.hpp"

#include <nlohmann/json.hpp>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::test {

struct azure_server {
    std::string endpoint;  ///< "http://host:port/account"
    std::string account;
    std::string key;  ///< Base64.
    /// A command that looks at containers without the code under test: arguments URL-OF-A-CONTAINER, make|remove|list.
    std::vector<std::string> tool;

    /// nullopt, and the reason on standard output, if there is no server.
    /// \throws nlohmann::json::exception if what was published makes no sense.
    static std::optional<azure_server> find() {
        const char* const file = std::getenv("KEEPSTORE_TEST_AZURE");
        std::ifstream input(file == nullptr ? "" : file);
        if (!input) {
            std::cout << "skipped: no Blob service has been started\n";
            return std::nullopt;
        }
        const auto info = nlohmann::json::parse(input);
        if (info.contains("skipped")) {
            std::cout << "skipped: " << info["skipped"].get<std::string>() << '\n';
            return std::nullopt;
        }
        return azure_server{.endpoint = info.at("endpoint"),
                            .account = info.at("account"),
                            .key = info.at("key"),
                            .tool = info.at("tool")};
    }

    /// Runs the tool on a container. \throws std::runtime_error if it fails; it has said why on standard error.
    void run_tool(const std::string& container, const std::string& what) const {
        test::run_tool(tool, {endpoint + "/" + container, what}, {"AZURE_STORAGE_KEY=" + key});
    }
};

/// A container of a test's own, removed with all that is in it.
class azure_container {
  public:
    explicit azure_container(const azure_server& server) : server_(server), name_(new_name()) {
        server_.run_tool(name_, "make");
    }
    ~azure_container() {
        try {
            server_.run_tool(name_, "remove");
        } catch (const std::exception& e) {
            std::cerr << e.what() << '\n';
        }
    }
    azure_container(const azure_container&) = delete;
    azure_container& operator=(const azure_container&) = delete;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

  private:
    static std::string new_name() {
        static std::atomic<int> count = 0;
        return unique_tool_name(count++);
    }

    const azure_server server_;
    const std::string name_;
};

}  // namespace keepstore::test
