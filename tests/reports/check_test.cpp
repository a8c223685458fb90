#include "reports/check.hpp"
#include "tests/cluster_config/sample_config.hpp"
#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace keepstore;
using namespace keepstore::reports;

namespace {

std::expected<boost::asio::ip::tcp::endpoint, cluster_config::bind_error> any_address(const cluster_config::url&) {
    return boost::asio::ip::tcp::endpoint(boost::asio::ip::tcp::v4(), 1);
}

check_report report_for(const std::string& root, const std::string& scheme = "http", const std::string& extra = {}) {
    const auto loaded = cluster_config::parse_config(test::sample_config(
        test::collections() + "  Services: {Keepstore: {InternalURLs: {\"" + scheme + "://127.0.0.1:25107\": {}}}}\n" +
            extra,
        "  Volumes: {zzzzz-nyw5e-000000000000000: {Driver: Directory, DriverParameters: {Root: \"" + root + "\"}}}\n"));
    return check_host(loaded, {}, any_address);
}

}  // namespace

TEST_CASE("the -check report says what this host would serve", "[reports][check]") {
    const test::temp_dir dir;
    const auto report = report_for(dir.path());
    INFO(report.text);
    CHECK(report.exit_code == 0);
    for (const std::string part :
         {"cluster zzzzz", "http://127.0.0.1:25107/", "TLS                no", "volume zzzzz-nyw5e-000000000000000",
          "read, write, trash", "default (priority 0)", "at most 8 GiB", "all memory         at most 9.",
          "64 at once, then 128 waiting", "kept for 336h", "16 KiB/s over 10s",
          "5m after the start, then every 24h, 4 workers", "is less than MaxKeepBlobBuffers",
          "ok: keepstore can start"})
        CHECK_THAT(report.text, Catch::Contains(part));
    CHECK_THAT(report.text,
               !Catch::Contains("aaaaaaaa") && !Catch::Contains("bbbbbbbb") && !Catch::Contains("cccccccc"));
}

TEST_CASE("the -check report finds what is wrong with files", "[reports][check]") {
    const test::temp_dir dir;
    const auto missing = report_for((dir.path() / "nowhere").string());
    CHECK(missing.exit_code == 1);
    CHECK_THAT(missing.text, Catch::Contains("nowhere: file does not exist") && Catch::Contains("not ok: 1 problem"));

    std::ofstream(dir.path() / "file") << "x";
    CHECK_THAT(report_for((dir.path() / "file").string()).text, Catch::Contains("not a directory"));

    const auto bare = report_for(dir.path(), "https");
    CHECK(bare.exit_code == 1);
    CHECK_THAT(bare.text, Catch::Contains("TLS.Certificate: missing") && Catch::Contains("TLS.Key: missing"));
    const std::string file = dir.path() / "file";
    const auto tls =
        report_for(dir.path(), "https", "  TLS: {Certificate: \"file://" + file + "\", Key: \"" + file + ".no\"}\n");
    CHECK_THAT(tls.text,
               !Catch::Contains("TLS.Certificate:") && Catch::Contains("TLS.Key: " + file + ".no: No such file"));
    CHECK_THAT(report_for(dir.path(), "https", "  TLS: {ACME: {Server: LE}}\n").text, Catch::Contains("not supported"));
}

TEST_CASE("the -check report reports a configuration that does not load", "[reports][check]") {
    const auto report = check_host(cluster_config::parse_config("Clusters: {}", "/c.yml"), {}, any_address);
    CHECK(report.exit_code == 1);
    CHECK_THAT(report.text, Catch::Contains("/c.yml") && Catch::Contains("config does not define any clusters"));
}

TEST_CASE("the -check report names the limits that hold, not the keys alone", "[reports][check]") {
    const test::temp_dir dir;
    const auto with = [&](const std::string& extra) { return report_for(dir.path(), "http", extra).text; };
    CHECK_THAT(with("  Keepstore: {MaxConnections: 0}\n"),
               Catch::Contains("connections        three quarters of the file descriptors, backlog 1024"));
    CHECK_THAT(with("  Keepstore: {MaxConnections: 7}\n"), Catch::Contains("connections        7, backlog"));
    const auto loaded = cluster_config::parse_config(test::sample_config(
        test::collections(", BlobTrashCheckInterval: 2m") + "  Keepstore: {EmptyTrashStartDelay: 5m}\n"));
    CHECK_THAT(check_host(loaded, {}, any_address).text, Catch::Contains("2m after the start, then every 2m"));
}

TEST_CASE("the -check report warns about parameters of volumes", "[reports][check]") {
    const auto loaded = cluster_config::parse_config(test::sample_config(
        test::collections(), test::volume("Driver: Directory, DriverParameters: {Root: /nowhere, sync: false}")));
    CHECK_THAT(check_host(loaded, {}, any_address).text, Catch::Contains("(perhaps you meant Sync?)"));
}
