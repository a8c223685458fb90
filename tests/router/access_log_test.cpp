// The two log lines of a request (docs/interface.md 2.3), as written to stderr.
#include "router/access_log.hpp"

#include "base/log.hpp"
#include "tests/router/app_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <fstream>

using namespace keepstore;
using namespace keepstore::test;

namespace {

// Captures all log lines during its lifetime.
class captured_log {
  public:
    captured_log() : path_((folder_.path() / "log").string()) {
        log::flush();
        saved_ = ::dup(2);
        const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        ::dup2(file, 2);
        ::close(file);
    }
    ~captured_log() { restore(); }
    std::vector<nlohmann::json> lines() {
        restore();
        std::vector<nlohmann::json> out;
        std::ifstream in(path_);
        for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
        return out;
    }

  private:
    void restore() {
        if (saved_ < 0) return;
        log::flush();
        ::fflush(stderr);
        ::dup2(saved_, 2);
        ::close(saved_);
        saved_ = -1;
    }
    temp_dir folder_;
    std::string path_;
    int saved_ = -1;
};

}  // namespace

TEST_CASE("each request leaves two lines with the fields of docs/interface.md 2.3 and no secret", "[router][log]") {
    app_fixture f;
    const std::string locator = f.put_foo();
    captured_log log;
    fake_exchange get(
        "GET", "/" + locator + "?api_token=v2/uuid/secret&a=b",
        {{"Host", "keep0"}, {"X-Request-Id", "req-me"}, {"X-Forwarded-For", "198.51.100.7"}, {"Origin", "x"}});
    f.handle(get);
    CHECK(get.status() == 200);
    const auto lines = log.lines();
    REQUIRE(lines.size() == 2);
    for (const auto& line : lines) {
        CHECK(line["RequestID"] == "req-me");
        CHECK(line["remoteAddr"] == "192.0.2.1:1234");
        CHECK(line["reqForwardedFor"] == "198.51.100.7");
        CHECK(line["reqMethod"] == "GET");
        CHECK(line["reqHost"] == "keep0");
        CHECK(line["reqPath"] == foo_hash + "+3+A***");
        CHECK(line["reqQuery"] == "api_token=***&a=b");
        CHECK(line["reqBytes"] == 0);
        CHECK(line["level"] == "info");
    }
    CHECK(lines[0]["msg"] == "request");
    CHECK(lines[1]["msg"] == "response");
    CHECK(lines[1]["respStatusCode"] == 200);
    CHECK(lines[1]["respStatusCode"].is_number_integer());
    CHECK(lines[1]["respStatus"] == "OK");
    CHECK(lines[1]["respBytes"] == 3);
    CHECK(lines[1]["queue"] == "api");
    CHECK(lines[1]["priority"] == 1);
    CHECK_FALSE(lines[1].contains("respBody"));
    for (const std::string name : {"timeTotal", "timeToStatus", "timeWriteBody"}) CHECK(lines[1][name].is_number());
    CHECK(lines[1]["timeTotal"].get<double>() ==
          Approx(lines[1]["timeToStatus"].get<double>() + lines[1]["timeWriteBody"].get<double>()).margin(2e-6));
}

TEST_CASE("a refused request's body is logged without the signature in it", "[router][log]") {
    app_fixture f;
    captured_log log;
    fake_exchange put("PUT", "/" + foo_hash + "+3+Adeadbeef@12345678", as_user, "bar");
    f.handle(put);
    const auto lines = log.lines();
    REQUIRE(lines.size() == 2);
    CHECK(lines[0]["reqBytes"] == 3);
    CHECK(lines[1]["respStatusCode"] == 400);
    CHECK(lines[1]["respBody"].get<std::string>().starts_with("content hash 37b51d194a7513e45b56f6524f2d51f2"));
    CHECK(lines[1].dump().find("deadbeef") == std::string::npos);
}

TEST_CASE("a client that disconnects in mid-body is logged as 499 with the bytes sent", "[router][log][cancel]") {
    app_fixture f;
    const std::string locator = f.put_foo();
    captured_log log;
    fake_exchange get("GET", "/" + locator, as_user);
    get.client_leaves_after(2);
    f.handle(get);
    const auto lines = log.lines();
    REQUIRE(lines.size() == 2);
    CHECK(lines[1]["respStatusCode"] == 499);
    CHECK(lines[1]["respStatus"] == "");
    CHECK(lines[1]["respCut"] == true);
}

TEST_CASE("metrics, probes and inspect are not logged", "[router][log]") {
    app_fixture f;
    captured_log log;
    CHECK(f.status_of("GET", "/metrics", as_manager) == 200);
    CHECK(f.status_of("GET", "/_health/ready") == 200);
    CHECK(f.status_of("GET", "/_inspect/requests", as_manager) == 200);
    CHECK(log.lines().empty());
}

TEST_CASE("a log level above info drops both lines", "[router][log]") {
    app_fixture f;
    log::configure({.threshold = log::level::warning});
    captured_log log;
    CHECK(f.status_of("GET", "/xyz") == 400);
    const auto lines = log.lines();
    log::configure({});
    CHECK(lines.empty());
}
