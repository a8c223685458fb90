#include "base/units.hpp"
#include "cluster_config/loader.hpp"
#include "cluster_config/schema.hpp"
#include "tests/cluster_config/sample_config.hpp"
#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>

using namespace keepstore;
using namespace keepstore::cluster_config;
using namespace std::chrono_literals;
using namespace keepstore::test;

TEST_CASE("PullHosts is a set of hosts and networks", "[daemon][config]") {
    const auto text = [](const std::string& hosts) {
        return "Clusters: {zzzzz: {Keepstore: {PullHosts: " + hosts + "}, Collections: {BlobSigning: false}}}";
    };
    using names = std::vector<std::string>;
    CHECK(load(text("{}")).cluster.keepstore.pull_hosts.empty());
    CHECK(load(text("{keep0.example: {}, \"10.1.0.0/16\": {}}")).cluster.keepstore.pull_hosts ==
          names{"10.1.0.0/16", "keep0.example"});
    CHECK(load(text("[InternalURLs, \"keep0.example:25107\"]")).cluster.keepstore.pull_hosts ==
          names{"InternalURLs", "keep0.example:25107"});
    for (const auto* wrong : {"[\"http://keep0.example\"]", "{\"10.0.0.0/64\": {}}", "[\"\"]"})
        CHECK_THAT(error_of(text(wrong)),
                   Catch::Contains("PullHosts") && Catch::Contains("expected a name, an address"));
    CHECK_THAT(error_of(text("keep0.example")), Catch::Contains("PullHosts"));
}

TEST_CASE("rules for tokens, keys and buffers", "[daemon][config]") {
    const std::string unsigned_cluster = "Clusters: {zzzzz: {Collections: {BlobSigning: false}";
    auto c = load(unsigned_cluster + "}}");
    CHECK(warned(c, "SystemRootToken: secret token is not set"));
    CHECK(warned(c, "ManagementToken: secret token is not set"));
    CHECK(warned(c, "BlobSigningKey: secret token is not set"));
    CHECK(warned(load(unsigned_cluster + ", SystemRootToken: short}}"), "SystemRootToken: token is too short"));
    CHECK_THAT(error_of(unsigned_cluster + ", ManagementToken: a/b}}"),
               Catch::Contains("Clusters.zzzzz.ManagementToken"));
    CHECK_THAT(error_of("Clusters: {zzzzz: {}}"), Catch::Contains("BlobSigningKey: missing while BlobSigning is true"));
    for (const auto* n : {"0", "-1", "16777217"})
        CHECK_THAT(error_of(sample_config(collections() + "  API: {MaxKeepBlobBuffers: " + n + "}\n")),
                   Catch::Contains("MaxKeepBlobBuffers: found " + std::string(n)));
    CHECK(warned(load(sample_config(collections() + "  API: {MaxConcurrentRequests: 4, MaxKeepBlobBuffers: 5}\n")),
                 "4 is less than MaxKeepBlobBuffers (5)"));
    CHECK(load(sample_config(collections(", BlobReplicateConcurrency: 0")))
              .cluster.collections.blob_replicate_concurrency == 1);
}

TEST_CASE("the scrub's interval and rate", "[daemon][config]") {
    const auto ours = [](const std::string& inside) {
        return sample_config(collections() + "  Keepstore: {" + inside + "}\n");
    };
    const auto plain = load(ours("")).cluster.keepstore;
    CHECK(plain.scrub_interval == std::chrono::nanoseconds(0));
    CHECK(plain.scrub_rate == 64 * MiB);
    const auto set = load(ours("ScrubInterval: 720h, ScrubRate: 200MB")).cluster.keepstore;
    CHECK(set.scrub_interval == std::chrono::hours(720));
    CHECK(set.scrub_rate == 200'000'000);
    CHECK(load(ours("ScrubRate: 0")).cluster.keepstore.scrub_rate == 0);
    CHECK_THAT(error_of(ours("ScrubInterval: -1s")), Catch::Contains("ScrubInterval: found a negative duration"));
    CHECK_THAT(error_of(ours("ScrubInterval: 30")), Catch::Contains("ScrubInterval"));
    CHECK_THAT(error_of(ours("ScrubRate: fast")), Catch::Contains("ScrubRate"));
}

TEST_CASE("log level and format", "[daemon][config]") {
    const auto logs = [](const std::string& inside) {
        return sample_config(collections() + "  SystemLogs: {" + inside + "}\n");
    };
    CHECK(load(logs("LogLevel: WARN, Format: text")).cluster.logs.level == log::level::warning);
    CHECK(load(logs("Format: plain")).cluster.logs.format == log_shape::plain);
    CHECK_THAT(error_of(logs("LogLevel: loud")), Catch::Contains("unknown log level"));
    CHECK_THAT(error_of(logs("Format: xml")), Catch::Contains("unknown log format"));
}

TEST_CASE("storage classes are all implicit or all explicit", "[daemon][config]") {
    auto c = load(sample_config(collections(), volume(directory)));
    CHECK(first_volume(c).storage_classes == std::map<std::string, bool>{{"default", true}});

    const std::string defined =
        "  StorageClasses: {default: {Default: true}, cold: {Priority: -2}, hot: {Priority: 9}}\n";
    c = load(sample_config(collections() + defined, volume(directory + ", StorageClasses: {hot: true, cold: false}")));
    const auto local = select_volumes(c.cluster, url());
    REQUIRE(local);
    CHECK(local->front().priority == 9);
    CHECK(warned(c, "StorageClasses.default: there are no volumes"));

    CHECK_THAT(error_of(sample_config(collections() + defined, volume(directory))),
               Catch::Contains("volume has no StorageClasses listed"));
    CHECK_THAT(error_of(sample_config(collections(), volume(directory + ", StorageClasses: {default: true}"))),
               Catch::Contains("refers to storage class \"default\" that is not defined"));
    CHECK_THAT(error_of(sample_config(collections() + "  StorageClasses: {a: {Priority: 1}}\n",
                                      volume(directory + ", StorageClasses: {a: true}"))),
               Catch::Contains("there is no default storage class"));
}

TEST_CASE("AccessViaHosts and ReadOnly decide what this service may do", "[daemon][config]") {
    struct row {
        const char* inside;
        bool served, write, trash;
    };
    const row rows[] = {
        {"", true, true, true},
        {", ReadOnly: true", true, false, false},
        {", ReadOnly: true, AllowTrashWhenReadOnly: true", true, false, true},
        {", AccessViaHosts: {\"http://h:1\": {}}", true, true, true},
        {", AccessViaHosts: {\"http://h:1/\": {ReadOnly: true}}", true, false, false},
        {", AccessViaHosts: {\"http://h:1\": {ReadOnly: true}}, ReadOnly: true, "
         "AllowTrashWhenReadOnly: true",
         true, false, false},
        {", AccessViaHosts: {\"http://other:1\": {}}", false, false, false},
        {", AccessViaHosts: {}", true, true, true},
    };
    for (const auto& row : rows) {
        INFO(row.inside);
        const auto c = load(sample_config(collections(), volume(directory + row.inside)));
        const auto local = select_volumes(c.cluster, parse_url("http://h:1").value());
        REQUIRE(local.has_value() == row.served);
        if (!row.served) {
            CHECK(local.error() == "no volumes configured for http://h:1/");
            continue;
        }
        CHECK(local->front().allow_write == row.write);
        CHECK(local->front().allow_trash == row.trash);
    }
    CHECK(select_volumes(load(sample_config(collections())).cluster, url()).error() == "no volumes configured");
    CHECK_THAT(error_of(sample_config(collections(),
                                      volume(directory + ", AccessViaHosts: {\"h:x:1\": {}, \"127.0.0.1:1\": {}}"))),
               Catch::Contains("no URL"));
}

TEST_CASE("sanity warnings about services and volumes", "[daemon][config]") {
    const auto c =
        load(sample_config(collections() + "  Services: {Keepstore: {InternalURLs: {\"http://a:1\": {}, "
                                           "\"http://b:1\": {Rendezvous: x}}}}\n"
                                           "  Containers: {LocalKeepBlobBuffersPerVCPU: 1}\n",
                           volume(directory + ", AccessViaHosts: {\"http://a:1/\": {}, \"http://c:1\": {}}")));
    CHECK(warned(c, "the keepstore at http://b:1/ has no volume"));
    CHECK_FALSE(warned(c, "http://a:1/"));
    CHECK(warned(c, "AccessViaHosts: http://c:1/ is not listed"));
    CHECK(warned(c, "LocalKeepBlobBuffersPerVCPU is 1 but will not be used"));
    CHECK(warned(
        load(sample_config(collections() + "  Containers: {LocalKeepBlobBuffersPerVCPU: 1}\n", volume(directory))),
        "has lower replication than DefaultReplication (1 < 2)"));
}

TEST_CASE("our own section is typed and bounded", "[daemon][config]") {
    const auto own = [](const std::string& inside) {
        return sample_config(collections() + "  Keepstore: {" + inside + "}\n");
    };
    const auto k = load(own("MinTransferRate: 1KiB, HeaderTimeout: 3s, IdleTimeout: 4s, "
                            "DrainTimeout: 0, MaxConnections: 0, "
                            "ListenBacklog: 5, Threads: 2, Version: 1, MinTransferRatePeriod: 6s, "
                            "EmptyTrashStartDelay: 7s"))
                       .cluster.keepstore;
    CHECK(k.min_transfer_rate == 1024);
    CHECK(k.min_transfer_rate_period == 6s);
    CHECK(k.header_timeout == 3s);
    CHECK(k.idle_timeout == 4s);
    CHECK(k.drain_timeout == 0s);
    CHECK(k.connections_max == 0);
    CHECK(k.listen_backlog == 5);
    CHECK(k.threads == 2);
    CHECK(k.empty_trash_start_delay == 7s);
    for (const auto* bad :
         {"Version: 2", "HeaderTimeout: 0", "IdleTimeout: 1ms", "DrainTimeout: -1s", "MaxConnections: -1",
          "ListenBacklog: 0", "Threads: 5000", "MinTransferRate: -1", "MinTransferRate: fast"}) {
        INFO(bad);
        CHECK_THAT(error_of(own(bad)), Catch::Contains("Clusters.zzzzz.Keepstore."));
    }
}
