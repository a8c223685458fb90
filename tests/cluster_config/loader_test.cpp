#include "cluster_config/loader.hpp"
#include "base/units.hpp"
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

TEST_CASE("what is not configured has the documented default", "[daemon][config]") {
    const auto c = load(sample_config(collections())).cluster;
    CHECK(c.id == "zzzzz");
    CHECK(c.api.requests_max == 64);
    CHECK(c.api.queued_requests_max == 128);
    CHECK(c.api.gateway_tunnels_max == 1000);
    CHECK(c.api.blob_buffers_max == 128);
    CHECK(c.api.memory_budget_bytes() == 8 * GiB);
    CHECK(c.api.request_timeout == 5min);
    CHECK(c.collections.blob_signing);
    CHECK(c.collections.blob_signing_ttl == 336h);
    CHECK(c.collections.blob_trash);
    CHECK(c.collections.blob_trash_lifetime == 336h);
    CHECK(c.collections.blob_trash_check_interval == 24h);
    CHECK(c.collections.blob_trash_concurrency == 4);
    CHECK(c.collections.blob_delete_concurrency == 4);
    CHECK(c.collections.blob_replicate_concurrency == 4);
    CHECK(c.logs.level == log::level::info);
    CHECK(c.logs.format == log_shape::json);
    CHECK(c.keepstore.min_transfer_rate == 16 * KiB);
    CHECK(c.storage_classes.at("default").is_default);
}

TEST_CASE("scalars: which combinations of type and value load", "[daemon][config]") {
    struct row {
        std::string text;
        bool loads;
        const char* error_part;
    };
    const auto api = [](const std::string& v) {
        return sample_config(collections() + "  API: {MaxConcurrentRequests: " + v + "}\n");
    };
    const auto trash = [](const std::string& v) { return sample_config(collections(", BlobTrash: " + v)); };
    const auto ttl = [](const std::string& v) { return sample_config(collections(", BlobSigningTTL: " + v)); };
    const auto key = [](const std::string& v) { return sample_config("  Collections: {BlobSigningKey: " + v + "}\n"); };
    const row rows[] = {
        {api("010"), true, ""},
        {api("0x8"), true, ""},
        {api("1_0"), true, ""},
        {api("1e1"), true, ""},
        {api("8.0"), true, ""},
        {api("\"64\""), false,
         "/c.yml:7: Clusters.zzzzz.API.MaxConcurrentRequests: found the text \"64\"; expected a "
         "whole number"},
        {api("8.5"), false, "found the number 8.5"},
        {api("yes"), false, "found the boolean true (written yes)"},
        {api("1e30"), false, "expected a whole number"},
        {api("[1]"), false, "found a list"},
        {trash("yes"), true, ""},
        {trash("off"), true, ""},
        {trash("y"), true, ""},
        {trash("\"true\""), false, "expected true or false"},
        {trash("1"), false, "expected true or false"},
        {ttl("1h30m"), true, ""},
        {ttl("0"), true, ""},
        {ttl("\"0\""), true, ""},
        {ttl("300"), false, "missing unit in duration"},
        {ttl("\"\""), false, "expected a duration"},
        {ttl("1d"), false, "expected a duration"},
        {ttl("-1s"), false, "expected 0 or more"},
        {ttl("438000h"), true, ""},  // 50 years.
        {ttl("876000h"), false,
         "Clusters.zzzzz.Collections.BlobSigningTTL: found 876000h, until after 2106-02-07 06:28:15 UTC, which a "
         "signature cannot express; expected at most "},
        {key("12345678901234567890123456789012345678"), false, "found a number; expected a text (put it in quotes)"},
        {key("\"12345678901234567890123456789012345678\""), true, ""},
        {key("0xabc"), false, "a text"},
        {key("1e5"), false, "a text"},
        {key("true"), false, "a text"},
        {key("yes"), false, "a text"},
        {key("abc-def"), false, "expected only letters and digits"},
        {key("\"a b\""), false, "expected only letters and digits"},
    };
    for (const auto& row : rows) {
        INFO(row.text);
        const auto error = error_of(row.text);
        if (row.loads)
            CHECK(error == "loaded");
        else
            CHECK_THAT(error, Catch::Contains(row.error_part));
    }
    CHECK(load(api("010")).cluster.api.requests_max == 8);
    CHECK(load(api("1e1")).cluster.api.requests_max == 10);
    CHECK(load(api("0")).cluster.api.requests_max == 0);
    CHECK_FALSE(load(trash("off")).cluster.collections.blob_trash);
    CHECK(load(sample_config(collections() +
                             "  Workbench: {IdleTimeout: 0s}\n  SystemLogs: {MaxRequestLogParamsSize: 7}\n"))
              .warnings.size() == 1);  // MaxConcurrentRequests below MaxKeepBlobBuffers, nothing else.
}

TEST_CASE("secrets never appear in messages", "[daemon][config]") {
    CHECK_THAT(error_of(sample_config("  Collections: {BlobSigningKey: [s3cr3t]}\n")), !Catch::Contains("s3cr3t"));
    CHECK_THAT(error_of(sample_config("  Collections: {BlobSigningKey: s3cr3t-x}\n")), !Catch::Contains("s3cr3t"));
    CHECK_THAT(error_of(sample_config(collections() + "  PostgreSQL: {Connection: {password: 7777777}}\n")),
               !Catch::Contains("7777777") && Catch::Contains("in quotes"));
}

TEST_CASE("type errors in sections of other services abort too", "[daemon][config]") {
    for (const auto* bad : {"Login: {Google: {Enable: 1}}", "Mail: {EmailFrom: 5}", "Containers: {MaxComputeVMs: many}",
                            "Users: []", "InstanceTypes: {a: {RAM: lots}}", "Users: {NewUserNotificationRecipients: 5}",
                            "Collections: {WebDAVCache: {DiskCacheSize: 101%}}", "API: {SendTimeout: 60}",
                            "Services: {Controller: {ExternalURL: \":x\"}}", "Workbench: {IdleTimeout: {a: 1}}"}) {
        INFO(bad);
        CHECK_THAT(error_of(sample_config(std::string("  ") + bad + "\n" +
                                          (std::string(bad).starts_with("Coll") ? "" : collections()))),
                   Catch::Contains("expected"));
    }
    for (const auto* good :
         {"Users: {NewUserNotificationRecipients: [a, b]}", "InstanceTypes: {a: {RAM: 4GiB, Price: 0.1, VCPUs: 2}}",
          "Containers: {CloudVMs: {DriverParameters: {Anything: [1]}}}",
          "Services: {Workbench2: {ExternalURL: https://w.example}}", "Login: {Test: {Users: {joe: {Email: x}}}}"}) {
        INFO(good);
        const auto c = load(sample_config(collections() + "  " + good + "\n"));
        CHECK_FALSE(warned(c, "unknown"));
    }
    const auto c = parse_config(sample_config(collections() + "  SystemLogs: {LogLevel: {a: 1}}\n"));
    CHECK_FALSE(c);
}

TEST_CASE("unknown keys warn, misspelt ones are dropped with a hint", "[daemon][config]") {
    auto c =
        load(sample_config(collections() + "  API: {MaxFoo: 1, maxconcurrentrequests: 5}\n  Nonsense: {a: {b: 1}}\n"
                                           "  Services: {KeepStore: {InternalURLs: {\"http://a\": {}}}}\n"));
    CHECK(warned(c, "deprecated or unknown config entry: Clusters.zzzzz.API.MaxFoo"));
    CHECK(warned(c,
                 "deprecated or unknown config entry: Clusters.zzzzz.API.maxconcurrentrequests "
                 "(perhaps you meant "
                 "MaxConcurrentRequests?)"));
    CHECK(warned(c, "deprecated or unknown config entry: Clusters.zzzzz.Nonsense"));
    CHECK(warned(c, "Clusters.zzzzz.Services.KeepStore (perhaps you meant Keepstore?)"));
    CHECK(c.cluster.api.requests_max == 64);
    CHECK(c.cluster.internal_urls.empty());

    c = load(
        "{\"AutoReloadConfig\": false, \"SourceSHA256\": \"x\", \"Clusters\": {\"zzzzz\": "
        "{\"Collections\": {\"BlobSigning\": false}}}}");
    CHECK(warned(c, "deprecated or unknown config entry: AutoReloadConfig"));
    CHECK(warned(c, "deprecated or unknown config entry: SourceSHA256"));
}

TEST_CASE("keys without a value keep their defaults, falsy values override them", "[daemon][config]") {
    auto c = load(sample_config(collections() + "  API:\n  TLS: {ACME: }\n",
                                "  Volumes: {a: null, b: {" + directory + ", Replication: }}\n"));
    CHECK(c.cluster.api.blob_buffers_max == 128);
    CHECK(c.cluster.volumes.size() == 1);
    c = load(sample_config(collections(", BlobTrash: false, BlobTrashLifetime: 0")));
    CHECK_FALSE(c.cluster.collections.blob_trash);
    CHECK(c.cluster.collections.blob_trash_lifetime == 0s);
}

TEST_CASE("SAMPLE entries are documentation", "[daemon][config]") {
    const auto c = load(sample_config(collections(), "  Volumes: {SAMPLE: {Driver: 5}, b: {" + directory + "}}\n"));
    CHECK(c.cluster.volumes.size() == 1);
}

TEST_CASE("files without exactly one cluster are refused", "[daemon][config]") {
    for (const auto* text :
         {"", "# only a comment\n", "Clusters:\n", "Clusters: {}", "Listen: :25107\n", "Clusters: {zzzzz: }"})
        CHECK_THAT(error_of(text), Catch::StartsWith("/c.yml: ") || Catch::StartsWith("/c.yml:1: "));
    CHECK_THAT(error_of("Listen: x"), Catch::Contains("config does not define any clusters"));
    CHECK_THAT(error_of("Clusters: {aaaaa: {}, bbbbb: {}}"),
               Catch::Contains("multiple clusters configured, cannot choose"));
    for (const auto* id : {"zzzz", "zzzzzz", "ZZZZZ", "zz-zz"})
        CHECK_THAT(error_of("Clusters: {" + std::string(id) + ": {}}"), Catch::Contains("expected five lower-case"));
    CHECK_THAT(error_of("[1]"), Catch::Contains("found a list; expected a map"));
    CHECK_THAT(error_of("Clusters: 5"), Catch::Contains("found the number 5"));
    CHECK_THAT(error_of("a: [\n"), Catch::Contains("not valid YAML"));
    CHECK_THAT(error_of(std::string(17 * MiB, ' ')), Catch::Contains("larger than 16 MiB"));
    CHECK_THAT(error_of("Clusters: {zzzzz: {RemoteClusters: {TOOLONG: {}}, Collections: "
                        "{BlobSigning: false}}}"),
               Catch::Contains("RemoteClusters.TOOLONG"));
    CHECK(load("Clusters: {zzzzz: {RemoteClusters: {\"*\": {}, yyyyy: {Host: h, Insecure: true}}, "
               "Collections: {BlobSigning: false}}}")
              .cluster.remote_clusters.at("yyyyy")
              .insecure);
}

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

TEST_CASE("old environment variables fill gaps, with a warning", "[daemon][config]") {
    const environment env{
        .api_token = "dddddddddddddddddddddddddddddddddddd", .api_host = "ctl:1", .api_host_insecure = "1"};
    auto c = load("Clusters: {zzzzz: {Collections: {BlobSigning: false}}}", env);
    CHECK(c.cluster.system_root_token == env.api_token);
    CHECK(c.cluster.controller_url.to_string() == "https://ctl:1/");
    CHECK(c.cluster.tls.insecure);
    CHECK(warned(c, "ARVADOS_API_TOKEN"));
    CHECK(warned(c, "ARVADOS_API_HOST"));

    c = load(sample_config(collections() + "  Services: {Controller: {ExternalURL: \"https://x\"}}\n"), env);
    CHECK(c.cluster.system_root_token.starts_with("aaaa"));
    CHECK(c.cluster.controller_url.host == "x");
    CHECK(warned(c, "ARVADOS_API_TOKEN is present, but will not be used"));
    CHECK(warned(c, "ARVADOS_API_HOST is present, but will not be used"));
    CHECK_THAT(error_of("Clusters: {zzzzz: {Collections: {BlobSigning: false}}}", {.api_token = "a-b"}),
               Catch::Contains("SystemRootToken") && !Catch::Contains("a-b"));
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

TEST_CASE("the source is named by path, digest and time", "[daemon][config]") {
    const test::temp_dir dir;
    const std::string path = dir.path() / "c.yml";
    const std::string text = sample_config(collections());
    std::ofstream(path) << text;
    std::istringstream in(text);
    const auto file = load_config(path, {}, in);
    REQUIRE(file);
    CHECK(file->source == path);
    CHECK(std::chrono::abs(std::chrono::system_clock::now() - file->timestamp) < 60s);
    const auto standard = load_config("-", {}, in);
    REQUIRE(standard);
    CHECK(standard->source == "-");
    CHECK(standard->sha256 == file->sha256);
    CHECK(standard->sha256.size() == 64);
    CHECK(std::chrono::abs(std::chrono::system_clock::now() - standard->timestamp) < 60s);
    CHECK(parse_config("Clusters: {zzzzz: {Collections: {BlobSigning: false}}}")->sha256 != file->sha256);

    std::istringstream empty;
    CHECK_THAT(load_config("-", {}, empty).error(),
               Catch::Contains("standard input: config does not define any clusters"));
    CHECK_THAT(load_config(path + ".no", {}, empty).error(), Catch::Contains(path + ".no: No such file"));
    CHECK_THAT(load_config(dir.path(), {}, empty).error(), Catch::Contains("is a directory"));
}

TEST_CASE("both examples load without complaints about keys", "[daemon][config]") {
    for (const std::string name : {"keepstore.minimal.yml", "keepstore.full.yml"}) {
        std::istringstream none;
        const auto c = load_config(std::string(KEEPSTORE_CONF_DIR "/") + name, {}, none);
        INFO(name << ": " << (c ? std::string() : c.error()));
        REQUIRE(c);
        CHECK_FALSE(warned(*c, "unknown"));
    }
}

TEST_CASE("the full example shows the defaults and names every key of our section", "[daemon][config]") {
    std::ifstream file(KEEPSTORE_CONF_DIR "/keepstore.full.yml");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto shown = load(text).cluster;
    const auto plain = load(sample_config(collections())).cluster;
    CHECK(shown.api.requests_max == plain.api.requests_max);
    CHECK(shown.api.queued_requests_max == plain.api.queued_requests_max);
    CHECK(shown.api.blob_buffers_max == plain.api.blob_buffers_max);
    CHECK(shown.api.request_timeout == plain.api.request_timeout);
    CHECK(shown.collections.blob_trash_lifetime == plain.collections.blob_trash_lifetime);
    CHECK(shown.collections.blob_signing_ttl == plain.collections.blob_signing_ttl);
    CHECK(shown.collections.blob_trash_check_interval == plain.collections.blob_trash_check_interval);
    CHECK(shown.keepstore.min_transfer_rate == plain.keepstore.min_transfer_rate);
    CHECK(shown.keepstore.min_transfer_rate_period == plain.keepstore.min_transfer_rate_period);
    CHECK(shown.keepstore.header_timeout == plain.keepstore.header_timeout);
    CHECK(shown.keepstore.idle_timeout == plain.keepstore.idle_timeout);
    CHECK(shown.keepstore.drain_timeout == plain.keepstore.drain_timeout);
    CHECK(shown.keepstore.connections_max == plain.keepstore.connections_max);
    CHECK(shown.keepstore.listen_backlog == plain.keepstore.listen_backlog);
    CHECK(shown.keepstore.threads == plain.keepstore.threads);
    CHECK(shown.keepstore.empty_trash_start_delay == plain.keepstore.empty_trash_start_delay);
    CHECK(shown.keepstore.scrub_interval == plain.keepstore.scrub_interval);
    CHECK(shown.keepstore.scrub_rate == plain.keepstore.scrub_rate);
    const auto& schema = cluster_schema();
    REQUIRE_FALSE(schema.named.at("Keepstore").named.empty());
    for (const auto& [key, node] : schema.named.at("Keepstore").named) {
        INFO(key);
        CHECK(text.find(key + ":") != std::string::npos);
    }
}

TEST_CASE("a JSON dump on standard input loads like the file it came from", "[daemon][config]") {
    const auto c = load(
        R"({"Clusters":{"zzzzz":{"ManagementToken":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","API":{"MaxKeepBlobBuffers":2},
        "Collections":{"BlobSigningKey":"cccccccccccccccccccccccccccccccccccc","BlobTrash":false,"BlobTrashConcurrency":0,"BlobSigningTTL":"336h0m0s"},
        "Services":{"Keepstore":{"InternalURLs":{"http://a:1/":{"ListenURL":"","Rendezvous":""}},"ExternalURL":"-"}},
        "StorageClasses":{"default":{"Default":true,"Priority":0}},
        "Volumes":{"zzzzz-nyw5e-000000000000000":{"AccessViaHosts":{},"StorageClasses":{"default":true},"Driver":"Directory",
          "DriverParameters":{"Root":"/v","Serialize":false},"Replication":0,"ReadOnly":false}}}}})");
    CHECK(c.cluster.api.blob_buffers_max == 2);
    CHECK(c.cluster.collections.blob_trash_concurrency == 0);
    CHECK(first_volume(c).replication == 1);
    CHECK_FALSE(warned(c, "unknown"));
}

TEST_CASE("damaged input never does worse than an error", "[daemon][config]") {
    std::ifstream file(KEEPSTORE_CONF_DIR "/keepstore.full.yml");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    REQUIRE(text.size() > 1000);
    std::size_t refused = 0;
    for (std::size_t cut = 0; cut < text.size(); cut += 97) {
        refused += parse_config(text.substr(0, cut)) ? 0 : 1;
        std::string changed = text;
        changed[cut] = "{}[]:&*!\"\x01"[cut % 10];
        refused += parse_config(changed) ? 0 : 1;
    }
    CHECK(refused > 0);
}
