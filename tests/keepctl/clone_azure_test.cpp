// A container of Azure as a side of a clone, on a service in memory: what is listed and read, and copies inside the
// service that succeed, are refused, or meet changes.
#include "base/base64.hpp"
#include "digest/md5.hpp"
#include "keepctl/clone/block_copier.hpp"
#include "keepctl/clone/clone_bucket.hpp"
#include "tests/azure/memory_service.hpp"
#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"
#include "volumes/azure/azure_volume.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::test;

namespace {

using fate = azure_memory_service::fate;
using outcome = block_copier::outcome;

md5_digest md5_of_text(const std::string& text) {
    return digest::md5_of(std::as_bytes(std::span(text)));
}

std::unique_ptr<clone_bucket> side_of(const azure_memory_service& service, const std::string& text) {
    volumes::azure_options options;
    options.endpoint = service.url();
    options.account = std::string(azure_memory_service::account);
    options.container = std::string(azure_memory_service::container);
    const std::string key = "key of the account";
    options.account_key = cloud::secret_string(encode_base64(std::as_bytes(std::span(key))));
    auto opened = open_azure_container(text, options);
    if (!opened) throw std::runtime_error(opened.error().text);
    return std::move(*opened);
}

awaitable<result<std::uint64_t>> size_of(const clone_bucket& side, md5_digest name) {
    KS_CO_TRY(const auto object, co_await side.get(object_kind::block, name, soon()));
    co_return object.length();
}

/// What the service does with a request to copy.
using copy_handler = std::function<fate(azure_memory_service&, stub_reply&)>;

/// One block in a container, cloned to the place where it is: what counts are the requests.
struct copied_block {
    explicit copied_block(std::optional<md5_digest> listed_md5, copy_handler on_copy, copier_options options = {}) {
        const std::string content(300'000, 'x');
        const auto name = md5_of_text(content);
        service.store(name.hex(), content);
        service.set_hook(
            [this, on_copy = std::move(on_copy)](const std::string&, const seen_request& r, stub_reply& reply) {
                if (r.header("x-ms-copy-source").empty()) return fate::serve;
                copies.push_back(r);
                return on_copy(service, reply);
            });
        block_copier copier(*source, *target, options, [this](std::string text) { note = std::move(text); });
        end = run(copier.copy({.name = name,
                               .size = static_cast<std::uint32_t>(content.size()),
                               .etag = service.find(name.hex())->etag,
                               .content_md5 = listed_md5,
                               .source_marker = true}));
        mode = copier.mode();
        stored = service.find(name.hex());
    }

    static md5_digest name() { return md5_of_text(std::string(300'000, 'x')); }

    azure_memory_service service;
    std::unique_ptr<clone_bucket> source = side_of(service, "volume:a");
    std::unique_ptr<clone_bucket> target = side_of(service, "volume:b");
    std::vector<seen_request> copies;
    std::string note;
    block_copier::attempt end{outcome::cancelled};
    clone_mode mode = clone_mode::automatic;
    std::optional<azure_memory_service::blob> stored;
};

copy_handler replies(unsigned status, const std::string& code) {
    return [=](azure_memory_service&, stub_reply& reply) {
        reply = azure_memory_service::failure(status, code);
        return fate::reply;
    };
}

fate succeed(azure_memory_service&, stub_reply& reply) {
    reply = {
        .status = 202,
        .headers = {
            {"x-ms-copy-status", "success"}, {"ETag", "\"0x1\""}, {"Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT"}}};
    return fate::reply;
}

}  // namespace

TEST_CASE("a container lists blocks, and neither trash nor what is being written", "[keepctl][clone][azure]") {
    azure_memory_service service;
    const auto side = side_of(service, "volume:a");
    const std::string block = "block";
    const auto empty = md5_of_text("");
    const auto old = md5_of_text("written, never finished");
    service.store(md5_of_text(block).hex(), block, {{"keepstore_waypoints", "AAEC"}, {"expires_at", ""}});
    service.store(md5_of_text("trash").hex(), "trash", {{"expires_at", "99999999999"}});
    service.store(md5_of_text("being written").hex(), "");
    service.store(old.hex(), "", {}, std::chrono::hours(1));
    service.store(empty.hex(), "");
    service.store("no-block", "", {{"expires_at", "1"}});
    const auto page = run(side->list({}, soon()));
    REQUIRE(page.has_value());
    std::set<std::string> keys;
    for (const auto& object : page->objects) {
        keys.insert(object.key);
        CHECK(object.metadata.empty());
        if (object.key == md5_of_text(block).hex()) CHECK(object.content_md5 == md5_of_text(block));
    }
    CHECK(keys == std::set<std::string>{md5_of_text(block).hex(), empty.hex(), old.hex(), "no-block"});
}

TEST_CASE("a block that is in the trash by now is gone", "[keepctl][clone][azure]") {
    azure_memory_service service;
    const auto side = side_of(service, "volume:a");
    const auto name = md5_of_text("trash");
    service.store(name.hex(), "trash", {{"expires_at", "99999999999"}});
    const auto got = run(size_of(*side, name));
    CHECK((!got && got.error() == errc::not_found));
    const auto validator = run(side->validator_of(object_kind::block, name, soon()));
    CHECK((!validator && validator.error() == errc::not_found));
    const auto points = run(side->waypoints_of(name, soon()));
    CHECK((!points && points.error() == errc::not_found));
}

TEST_CASE("waypoints go to the blob that was put, and to no other version of it", "[keepctl][clone][azure]") {
    azure_memory_service service;
    const auto side = side_of(service, "volume:a");
    const auto name = md5_of_text("x");
    const cloud::upload_body body{.slices = {copy_to_heap_slice(std::as_bytes(std::span("x", 1)))}};
    const auto stored = run(side->put(object_kind::block, name, body, soon()));
    REQUIRE(stored.has_value());
    REQUIRE(run(side->mark(name, "AAEC", stored->etag, soon())).has_value());
    CHECK(run(side->waypoints_of(name, soon())).value() == "AAEC");
    service.change(name.hex(), [](auto& blob) { blob.metadata = {{"expires_at", "99999999999"}}; });
    CHECK(run(side->mark(name, "AAEC", stored->etag, soon())).has_value());
    CHECK(service.find(name.hex())->metadata.contains("expires_at"));
    // Nothing to add is no request.
    const auto before = service.count("set_metadata");
    CHECK(run(side->mark(name, std::nullopt, stored->etag, soon())).has_value());
    CHECK(service.count("set_metadata") == before);
    // Nor is it where the version is not known.
    CHECK(run(side->mark(name, "AAEC", "", soon())).has_value());
    CHECK(service.count("set_metadata") == before);
}

TEST_CASE("a container takes no other bytes than the name says", "[keepctl][clone][azure]") {
    azure_memory_service service;
    const auto side = side_of(service, "volume:a");
    const cloud::upload_body body{.slices = {copy_to_heap_slice(std::as_bytes(std::span("x", 1)))}};
    CHECK_FALSE(run(side->put(object_kind::block, md5_of_text("y"), body, soon())).has_value());
    CHECK_FALSE(service.find(md5_of_text("y").hex()).has_value());
}

TEST_CASE("a listing of a container that does not advance is an error", "[keepctl][clone][azure]") {
    azure_memory_service service;
    const auto side = side_of(service, "volume:a");
    const auto name = md5_of_text("x").hex();
    service.store(name, "x");
    CHECK(run(side->list({.last_key = "0"}, soon())).value().objects.size() == 1);
    CHECK_FALSE(run(side->list({.last_key = name}, soon())).has_value());
}

TEST_CASE("containers at different addresses are at different services", "[keepctl][clone][azure]") {
    azure_memory_service here;
    azure_memory_service there;
    const auto source = side_of(here, "volume:a");
    const auto target = side_of(there, "volume:b");
    const auto near_target = side_of(here, "volume:c");
    const auto mode_of = [&](const clone_bucket& to) {
        return block_copier(*source, to, {}, [](std::string) {}).mode();
    };
    CHECK(mode_of(*target) == clone_mode::stream);
    CHECK(mode_of(*near_target) == clone_mode::automatic);
}

TEST_CASE("a copy inside Azure names source, version and MD5, and is not read", "[keepctl][clone][azure]") {
    const copied_block done(copied_block::name(), succeed);
    CHECK(done.end.end == outcome::copied);
    CHECK(done.mode == clone_mode::server_side);
    CHECK(done.end.reads == 0);
    REQUIRE(done.copies.size() == 1);
    const auto& sent = done.copies.front();
    CHECK(sent.header("x-ms-copy-source")
              .starts_with(done.service.url() + "/account/keep/" + copied_block::name().hex() + "?"));
    CHECK(sent.header("x-ms-source-if-match") == "\"" + done.stored->etag + "\"");
    CHECK_FALSE(sent.header("x-ms-source-content-md5").empty());
    CHECK(done.service.count("get") == 0);
    CHECK(done.service.count("put") == 1);
}

TEST_CASE("a copy of a blob without an MD5 is read", "[keepctl][clone][azure]") {
    const copied_block done(std::nullopt, succeed);
    CHECK(done.end.end == outcome::copied);
    CHECK(done.end.reads == 1);
    CHECK(copied_block(std::nullopt, succeed, {.proof = clone_proof::none}).end.reads == 0);
    CHECK(copied_block(copied_block::name(), succeed, {.proof = clone_proof::read}).end.reads == 1);
}

TEST_CASE("a refused copy inside Azure means streaming", "[keepctl][clone][azure]") {
    for (const unsigned status : {401U, 403U, 404U, 409U}) {
        const copied_block done(copied_block::name(), replies(status, "CannotVerifyCopySource"));
        CAPTURE(status, done.end.why.text);
        CHECK(done.end.end == outcome::copied);
        CHECK(done.mode == clone_mode::stream);
        CHECK(done.note.contains("volume:a"));
        CHECK(done.service.count("get") == 1);
        CHECK(done.stored->metadata.contains("keepstore_waypoints"));
    }
}

TEST_CASE("a source that is said to be missing and is there may not be read", "[keepctl][clone][azure]") {
    const copied_block done(copied_block::name(), replies(404, "BlobNotFound"));
    CHECK(done.end.end == outcome::copied);
    CHECK(done.mode == clone_mode::stream);
}

TEST_CASE("other bytes than the name says are the source's fault", "[keepctl][clone][azure]") {
    const copied_block done(copied_block::name(), replies(400, "Md5Mismatch"), {.mode = clone_mode::server_side});
    CHECK(done.end.end == outcome::bad_source);
    CHECK(done.end.why.text.starts_with("volume:a: "));
}

TEST_CASE("a copy follows its source: written anew it is copied, in the trash it is gone", "[keepctl][clone][azure]") {
    const copied_block anew(copied_block::name(),
                            [first = true](azure_memory_service& service, stub_reply& reply) mutable {
                                if (!std::exchange(first, false)) return succeed(service, reply);
                                service.change(copied_block::name().hex(), [](auto&) {});
                                return replies(412, "SourceConditionNotMet")(service, reply);
                            });
    CHECK(anew.end.end == outcome::copied);
    REQUIRE(anew.copies.size() == 2);
    CHECK(anew.copies.back().header("x-ms-source-if-match") == "\"" + anew.stored->etag + "\"");

    for (const auto& [status, code] :
         {std::pair(412U, "SourceConditionNotMet"), {404U, "BlobNotFound"}, {404U, "CannotVerifyCopySource"}}) {
        CAPTURE(code);
        const auto refuse = replies(status, code);
        const copied_block trashed(copied_block::name(), [refuse](azure_memory_service& service, stub_reply& reply) {
            service.change(copied_block::name().hex(), [](auto& blob) { blob.metadata["expires_at"] = "99999999999"; });
            return refuse(service, reply);
        });
        CHECK(trashed.end.end == outcome::gone);
        // One block that is gone decides nothing for the others.
        CHECK(trashed.mode == clone_mode::automatic);
        CHECK(trashed.stored->metadata.contains("expires_at"));
    }
}
