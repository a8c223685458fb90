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
