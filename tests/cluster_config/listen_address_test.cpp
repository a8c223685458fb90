#include "cluster_config/listen_address.hpp"

#include <catch2/catch.hpp>

#include <boost/asio/io_context.hpp>

#include <map>

using namespace keepstore::cluster_config;
using boost::asio::ip::tcp;

namespace {

url at(const std::string& text) {
    return parse_url(text).value();
}

cluster_settings cluster_with(const std::map<std::string, std::string>& urls) {
    cluster_settings out;
    for (const auto& [key, listen] : urls) out.internal_urls[at(key)] = {.listen_url = at(listen), .rendezvous = {}};
    return out;
}

/// Host "here" can be bound, "elsewhere" belongs to another machine, anything else is taken.
std::expected<tcp::endpoint, bind_error> pretend(const url& u) {
    if (u.hostname() == "here") return tcp::endpoint(tcp::v4(), 1);
    if (u.hostname() == "elsewhere") return std::unexpected(bind_error{"cannot assign requested address", true});
    return std::unexpected(bind_error{"address already in use", false});
}

}  // namespace

TEST_CASE("the listen address is chosen as docs/interface.md 1.5 says", "[daemon][listen]") {
    struct row {
        std::map<std::string, std::string> urls;
        std::string environment, service, listen;
        bool tls;
        std::size_t warnings;
    };
    const row rows[] = {
        {{{"http://here:1", ""}}, "", "http://here:1/", "http://here:1/", false, 0},
        {{{"https://here:1", ""}}, "", "https://here:1/", "https://here:1/", true, 0},
        {{{"wss://here:1", ""}}, "", "wss://here:1/", "wss://here:1/", true, 0},
        {{{"https://x:1", "http://here:2"}}, "", "https://x:1/", "http://here:2/", false, 0},
        {{{"http://elsewhere:1", ""}, {"http://here:1", ""}}, "", "http://here:1/", "http://here:1/", false, 0},
        {{{"http://a:1", ""}, {"http://here:1", ""}}, "", "http://here:1/", "http://here:1/", false, 0},
        {{{"http://elsewhere:1", ""}, {"http://here:2", ""}},
         "http://here:2",
         "http://here:2/",
         "http://here:2/",
         false,
         0},
        {{{"https://x:1", "http://here:2"}}, "https://x:1", "https://x:1/", "http://here:2/", false, 0},
        {{}, "http://here:9", "http://here:9/", "http://here:9/", false, 1},
    };
    for (const auto& row : rows) {
        const auto got = choose_listen_address(cluster_with(row.urls), row.environment, pretend);
        INFO(row.service << " " << row.environment);
        REQUIRE(got);
        CHECK(got->service_url.to_string() == row.service);
        CHECK(got->listen_url.to_string() == row.listen);
        CHECK(got->tls == row.tls);
        CHECK(got->warnings.size() == row.warnings);
    }
}

TEST_CASE("no address for this host is an error that says why", "[daemon][listen]") {
    const auto error = [](const std::map<std::string, std::string>& urls, const char* environment) {
        return choose_listen_address(cluster_with(urls), environment, pretend).error();
    };
    CHECK(error({}, "") == "configuration does not enable the \"keepstore\" service on this host");
    CHECK(error({{"http://elsewhere:1", ""}}, "") ==
          "configuration does not enable the \"keepstore\" service on this host");
    CHECK(error({{"http://a:1", ""}, {"http://b:1", ""}}, "") ==
          "could not enable the \"keepstore\" service on this host: http://a:1/: address already "
          "in use; "
          "http://b:1/: address already in use");
    CHECK_THAT(error({}, "127.0.0.1:1"), Catch::Contains("ARVADOS_SERVICE_INTERNAL_URL"));
    CHECK_THAT(error({}, "http://a:1"), Catch::Contains("address already in use"));
}

TEST_CASE("probing binds for real: port 0, a taken port, a foreign address, no scheme", "[daemon][listen]") {
    CHECK(probe_bind(at("http://127.0.0.1:0")));
    CHECK(probe_bind(at("http://:0")));

    boost::asio::io_context context;
    tcp::acceptor taken(context, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
    const auto port = std::to_string(taken.local_endpoint().port());
    const auto busy = probe_bind(at("http://127.0.0.1:" + port));
    REQUIRE_FALSE(busy);
    CHECK_FALSE(busy.error().not_this_host);
    CHECK_THAT(busy.error().text, Catch::Contains("listen tcp 127.0.0.1:" + port));

    const auto foreign = probe_bind(at("http://192.0.2.1:25107"));  // TEST-NET-1, of no host.
    REQUIRE_FALSE(foreign);
    CHECK(foreign.error().not_this_host);

    CHECK_FALSE(probe_bind(at("ftp://127.0.0.1:0")));
    CHECK_FALSE(probe_bind(at("http://127.0.0.1:99999")));
}

TEST_CASE("a missing port follows from the scheme", "[daemon][listen]") {
    // Ports 80 and 443 may be forbidden here; either way the text or the endpoint names them.
    const auto named_port = [](const char* text) {
        const auto got = probe_bind(at(text));
        return got ? std::to_string(got->port()) : got.error().text;
    };
    CHECK_THAT(named_port("http://127.0.0.1"), Catch::Contains("80"));
    CHECK_THAT(named_port("wss://127.0.0.1"), Catch::Contains("443"));
}
