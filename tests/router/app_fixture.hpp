/// The application with the real store and two volumes in memory.
#pragma once

#include "digest/engine.hpp"
#include "pool/buffer_pool.hpp"
#include "router/app.hpp"
#include "store/block_store.hpp"
#include "tests/support/fake_exchange.hpp"
#include "tests/support/memory_volume.hpp"
#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>

namespace keepstore::test {

inline const std::string root_token = "systemroottokensystemroottokensystemroot";
inline const std::string management_token = "managementtokenmanagementtokenmanagement";
inline const std::string foo_hash = "acbd18db4cc2f85cedef654fccc4a4d8";
inline const md5_digest foo = *md5_digest::parse(foo_hash);
inline const fake_exchange::headers as_admin{{"Authorization", "Bearer " + root_token}};
inline const fake_exchange::headers as_manager{{"Authorization", "Bearer " + management_token}};
inline const fake_exchange::headers as_user{{"Authorization", "Bearer v2/uuid/secret"}};

inline router::app_options default_app_options() {
    router::app_options o;
    o.system_root_token = root_token;
    o.management_token = management_token;
    o.limits = {.concurrent_max = 8, .queued_max = 8};
    o.request_timeout = std::chrono::minutes(5);
    o.about = {.version = "1.2.3 (test)",
               .config_sha256 = "abc123",
               .config_source_seconds = 1700000000.5,
               .config_load_seconds = 1700000001.5,
               .signing_ttl_seconds = 1209600};
    return o;
}

inline store::block_store::options default_store_options() {
    store::block_store::options o;
    o.blob_signing = true;
    o.blob_signing_key = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    o.protect_for = std::chrono::hours(336);
    o.blob_trash = true;
    o.trash_lifetime = std::chrono::hours(336);
    return o;
}

struct app_fixture {
    explicit app_fixture(const router::app_options& o = default_app_options(),
                         store::block_store::options s = default_store_options())
        : store(std::move(s), store::mount_table(make_mounts()), pool, digest), app(o, store, pulls, trash) {}

    /// Runs the application until the response is complete.
    void handle(fake_exchange& ex) { run(app.handle(ex)); }
    unsigned status_of(std::string method, std::string target, fake_exchange::headers hs = {}, std::string body = {}) {
        fake_exchange ex(std::move(method), std::move(target), std::move(hs), std::move(body));
        handle(ex);
        return ex.status();
    }
    std::string body_of(std::string target, fake_exchange::headers hs = {}) {
        fake_exchange ex("GET", std::move(target), std::move(hs));
        handle(ex);
        return ex.sent_body();
    }
    /// PUTs "foo" and returns the signed locator.
    std::string put_foo() {
        fake_exchange ex("PUT", "/" + foo_hash, as_user, "foo");
        handle(ex);
        std::string locator = ex.sent_body();
        if (!locator.empty()) locator.pop_back();
        return locator;
    }

    std::vector<store::mount> make_mounts() const {
        std::vector<store::mount> out;
        for (const auto& [uuid, volume, storage_class] :
             {std::tuple("zzzzz-nyw5e-000000000000000", volume0, "testclass1"),
              std::tuple("zzzzz-nyw5e-111111111111111", volume1, "testclass2")}) {
            store::mount m;
            m.uuid = uuid;
            m.volume = volume;
            m.allow_write = true;
            m.allow_trash = true;
            m.storage_classes = {{storage_class, true}};
            out.push_back(std::move(m));
        }
        return out;
    }

    std::shared_ptr<memory_volume> volume0 = std::make_shared<memory_volume>("device-0");
    std::shared_ptr<memory_volume> volume1 = std::make_shared<memory_volume>("device-1");
    pool::buffer_pool pool{64 * MiB};
    digest::engine digest{1};
    store::block_store store;
    store::work_queue<protocol::pull_item> pulls;
    store::work_queue<protocol::trash_item> trash;
    router::app app;
};

/// Checks the headers that every response has for browsers (docs/interface.md 2.18).
inline void check_cors(const fake_exchange& ex) {
    CHECK(ex.sent_header("Access-Control-Allow-Origin") == "*");
    CHECK(ex.sent_header("Access-Control-Allow-Methods") == "GET, HEAD, PUT, OPTIONS");
    CHECK(ex.sent_header("Access-Control-Allow-Headers") ==
          "Authorization, Content-Length, Content-Type, X-Keep-Desired-Replicas, X-Keep-Signature, "
          "X-Keep-Storage-Classes");
    CHECK(ex.sent_header("Access-Control-Expose-Headers") ==
          "X-Keep-Locator, X-Keep-Replicas-Stored, X-Keep-Storage-Classes-Confirmed");
    CHECK(ex.sent_header("Access-Control-Max-Age") == "86486400");
}

}  // namespace keepstore::test
