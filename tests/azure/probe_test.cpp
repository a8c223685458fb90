#include "azure/probe.hpp"
#include "tests/azure/memory_container.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::azure;
using namespace keepstore::test;

namespace {

struct outcome {
    bool good = false;
    std::string lines;

    [[nodiscard]] bool has(std::string_view text) const { return lines.contains(text); }
};

outcome probe(client_options options, probe_extent extent = probe_extent::read_and_write,
              authorization how = account_key()) {
    outcome out;
    const auto take = [&](const probe_line& line) { out.lines += to_text(line) + "\n"; };
    out.good = run(probe_container(std::move(options), std::move(how), extent, take, soon()));
    return out;
}

outcome probe(const memory_container& of, probe_extent extent = probe_extent::read_and_write) {
    return probe(stub_options(of.service()), extent);
}

using vice = memory_container::vice;

}  // namespace

TEST_CASE("a good container passes every step, and nothing is left behind", "[azure][probe]") {
    const memory_container good;
    const auto seen = probe(good);
    INFO(seen.lines);
    CHECK(seen.good);
    for (const auto* step : {"address", "name", "connection", "credentials", "container", "put", "get", "digest",
                             "condition", "metadata", "delete"})
        CHECK(seen.has(std::string("ok: ") + step + ": "));
    CHECK_FALSE(seen.has("FAILED"));
    CHECK(good.blobs() == 0);
}

TEST_CASE("for a read-only volume nothing is written", "[azure][probe]") {
    memory_container good;
    CHECK(probe(good, probe_extent::read_only).has("note: get: nothing is stored"));
    good.store("abc", "x");
    const auto seen = probe(good, probe_extent::read_only);
    CHECK(seen.has("ok: get: what is stored can be read"));
    for (const auto& sent : good.service().seen()) CHECK((sent.method == "GET" || sent.method == "HEAD"));
}

TEST_CASE("each fault of a container is named", "[azure][probe]") {
    const std::pair<vice, std::string> rows[] = {
        {vice::takes_wrong_digest, "FAILED: digest: the service takes a body"},
        {vice::loses_bytes, "FAILED: get: what was read is not what was written"},
        {vice::keeps_deleted, "FAILED: delete: a deleted blob is still there"},
        {vice::ignores_conditions, "FAILED: condition: the service does not honour"},
        {vice::ignores_if_match, "FAILED: condition: the service does not honour"},
        {vice::ignores_if_absent, "FAILED: condition: the service does not honour"},
        {vice::loses_metadata, "FAILED: metadata: "},
        {vice::denies, "FAILED: container: Azure list: 403 AuthenticationFailed (request rq2)"},
        {vice::no_container, "FAILED: container: Azure list: 404 ContainerNotFound (request rq2)"},
        {vice::is_immutable, "FAILED: container: an immutability policy"},
    };
    for (const auto& [bad, line] : rows) {
        const memory_container faulty(bad);
        const auto seen = probe(faulty);
        INFO(seen.lines);
        CHECK_FALSE(seen.good);
        CHECK(seen.has(line));
    }
}

TEST_CASE("a public container works and is noted", "[azure][probe]") {
    const memory_container open(vice::is_public);
    const auto seen = probe(open);
    CHECK(seen.good);
    CHECK(seen.has("note: container: keep can be listed, and its blobs can be read without credentials"));
}

TEST_CASE("faults before the first request are named by step", "[azure][probe]") {
    const memory_container good;
    auto options = stub_options(good.service());
    options.account = "Wrong";
    CHECK(probe(options).has("FAILED: address: StorageAccountName"));

    options = stub_options(good.service());
    options.endpoint = "http://no-such-host.invalid";
    CHECK(probe(options).has("an account that does not exist has no host name"));

    options = stub_options(good.service());
    const auto key = *parse_sas("sv=1&se=2030-01-01&sig=S3cret");
    const auto seen = probe(options, probe_extent::read_and_write, key);
    CHECK(seen.has("ok: credentials: a shared access signature, good until 2030-01-01"));
    CHECK_FALSE(seen.has("S3cret"));
}
