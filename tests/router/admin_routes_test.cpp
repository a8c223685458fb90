/// The routes of the administrator, through the whole application.
#include "base/hex.hpp"
#include "base/limits.hpp"
#include "base/sha256.hpp"
#include "protocol/limits.hpp"
#include "router/routes.hpp"
#include "tests/router/app_fixture.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <optional>

using namespace keepstore;
using namespace keepstore::test;
using router::route;

namespace {

using trash_queue = store::work_queue<protocol::trash_item>;

template <class Item>
awaitable<void> claim_one(store::work_queue<Item>& queue, std::optional<typename store::work_queue<Item>::claim>& out) {
    auto taken = co_await queue.next();
    if (taken) out.emplace(std::move(*taken));
}

}  // namespace

TEST_CASE("the administrator's routes need the administrator's token", "[router][routes][auth]") {
    app_fixture f;
    const std::vector<std::pair<std::string, std::string>> admin_routes{
        {"PUT", "/pull"},          {"PUT", "/trash"},           {"GET", "/index"},
        {"GET", "/index/"},        {"GET", "/index/1234"},      {"GET", "/mounts"},
        {"GET", "/_work"},         {"GET", "/mounts/x/blocks"}, {"PUT", "/untrash/" + foo_hash},
        {"TOUCH", "/" + foo_hash}, {"DELETE", "/" + foo_hash}};
    for (const auto& [method, path] : admin_routes) {
        INFO(method << " " << path);
        fake_exchange none(method, path);
        f.handle(none);
        CHECK(none.status() == 401);
        CHECK(none.sent_body() == "Unauthorized\n");
        check_cors(none);
        fake_exchange bad(method, path, as_user);
        f.handle(bad);
        CHECK(bad.status() == 403);
        CHECK(bad.sent_body() == "Forbidden\n");
        CHECK_FALSE(bad.body_was_read());
        CHECK(f.status_of(method, path + "?api_token=") == 403);
    }
    // Without a configured token the routes are closed for every token.
    auto options = default_app_options();
    options.system_root_token.clear();
    app_fixture closed(options);
    for (const auto& [method, path] : admin_routes) {
        CHECK(closed.status_of(method, path) == 403);
        CHECK(closed.status_of(method, path, as_admin) == 403);
        CHECK(closed.status_of(method, path + "?api_token=") == 403);
    }
}

TEST_CASE("touch, trash and untrash", "[router][routes]") {
    app_fixture f;
    CHECK(f.status_of("TOUCH", "/" + foo_hash + "+3", as_admin) == 404);
    CHECK(f.status_of("PUT", "/untrash/" + foo_hash, as_admin) == 404);
    fake_exchange missing("DELETE", "/" + foo_hash, as_admin);
    f.handle(missing);
    CHECK(missing.status() == 404);
    CHECK(missing.sent_body() == "file does not exist\n");

    const auto old = memory_volume::now() - std::chrono::hours(1000);
    f.volume0->plant(foo, "foo", old);
    CHECK(f.status_of("TOUCH", "/" + foo_hash + "+3", as_admin) == 200);
    CHECK(f.status_of("DELETE", "/" + foo_hash + "+3", as_admin) == 200);
    CHECK(f.volume0->content(foo));  // Too new now.
    f.volume0->plant(foo, "foo", old);
    CHECK(f.status_of("DELETE", "/" + foo_hash + "+3", as_admin) == 200);
    CHECK_FALSE(f.volume0->content(foo));
    fake_exchange untrash("PUT", "/untrash/" + foo_hash + "+3", as_admin);
    f.handle(untrash);
    CHECK(untrash.status() == 200);
    CHECK(untrash.sent_body().empty());
    CHECK(f.volume0->content(foo) == "foo");
    CHECK(f.status_of("TOUCH", "/" + foo_hash + "junk", as_admin) == 400);
}

TEST_CASE("index in all its forms", "[router][routes][index]") {
    app_fixture f;
    CHECK(f.body_of("/index", as_admin) == "\n");
    CHECK(f.body_of("/index?prefix=fff", as_admin) == "\n");
    f.volume0->plant(foo, "foo", volumes::block_time(std::chrono::nanoseconds(1'600'000'000'123'456'789)));
    f.volume1->plant(foo, "foo", volumes::block_time(std::chrono::nanoseconds(1'600'000'000'123'456'789)));
    const std::string line = foo_hash + "+3 1600000000123456789\n";
    CHECK(f.body_of("/index", as_admin) == line + line + "\n");
    const std::string mount = "/mounts/zzzzz-nyw5e-000000000000000/blocks";
    for (const std::string& target : {mount, mount + "/", mount + "/acbd", mount + "?prefix=acbd",
                                      mount + "/ffff?prefix=acbd", mount + "/acbd?prefix="}) {
        INFO(target);
        fake_exchange ex("GET", target, as_admin);
        f.handle(ex);
        CHECK(ex.status() == 200);
        CHECK(ex.sent_body() == line + "\n");
        CHECK(ex.get_deadline().is_never());
        CHECK(ex.finished());
    }
    CHECK(f.body_of("/index?prefix=zip", as_admin) == "\n");
    CHECK(f.body_of("/mounts/zzzzz-nyw5e-999999999999999/blocks", as_admin) == "file does not exist\n");
    CHECK(f.status_of("HEAD", "/mounts/zzzzz-nyw5e-999999999999999/blocks", as_admin) == 404);
    CHECK(f.status_of("HEAD", "/index", as_admin) == 200);
}

TEST_CASE("an index that fails half-way is visibly incomplete", "[router][routes][index]") {
    app_fixture f;
    f.volume0->plant(foo, "foo");
    f.volume0->fail_index_after_first_batch(error(errc::io_error, "disk on fire"));
    f.volume1->fail_index_after_first_batch(error(errc::io_error, "disk on fire"));
    fake_exchange late("GET", "/index", as_admin);
    f.handle(late);
    CHECK(late.status() == 200);
    CHECK(late.sent_body().starts_with(foo_hash));
    CHECK(late.aborted());
    CHECK_FALSE(late.finished());
    CHECK_FALSE(late.sent_body().ends_with("\n\n"));

    f.volume0->fail_everything(error(errc::unavailable, "volume does not respond"));
    fake_exchange early("GET", "/index", as_admin);
    f.handle(early);
    CHECK(early.status() == 503);
    CHECK(early.sent_body() == "volume does not respond\n");
}

TEST_CASE("mounts are listed with the keys that balance tools need", "[router][routes]") {
    app_fixture f;
    const auto json = nlohmann::json::parse(f.body_of("/mounts", as_admin));
    REQUIRE(json.size() == 2);
    CHECK(json[0] == nlohmann::json{{"uuid", "zzzzz-nyw5e-000000000000000"},
                                    {"device_id", "device-0"},
                                    {"allow_write", true},
                                    {"allow_trash", true},
                                    {"replication", 1},
                                    {"storage_classes", {{"testclass1", true}}}});
}

TEST_CASE("work lists replace the pending items", "[router][routes][lists]") {
    app_fixture f;
    const std::string item = R"({"locator":")" + foo_hash + R"(+3","block_mtime":1600000000000000000,"mount_uuid":""})";
    CHECK(f.status_of("PUT", "/trash", as_admin, "[" + item + "," + item + "]") == 200);
    CHECK(f.trash.pending() == 2);
    fake_exchange one("PUT", "/trash", as_admin, "[" + item + "]\n");
    f.handle(one);
    CHECK(one.sent_body().empty());
    CHECK(f.trash.pending() == 1);
    CHECK(f.status_of("PUT", "/trash", as_admin, "null\n") == 200);
    CHECK(f.trash.pending() == 0);

    CHECK(f.status_of("PUT", "/pull", as_admin,
                      R"([{"locator":")" + foo_hash + R"(+3","servers":["http://h:1"],"mount_uuid":"x"}])") == 200);
    CHECK(f.pulls.pending() == 1);
    CHECK(f.status_of("PUT", "/pull", as_admin, R"([{"locator":")" + foo_hash + R"("}])") == 400);
    CHECK(f.status_of("PUT", "/pull", as_admin, "{") == 500);
    CHECK(f.status_of("PUT", "/trash", as_admin, "nonsense") == 500);
    CHECK(f.pulls.pending() == 1);
    CHECK(f.status_of("PUT", "/pull", as_admin, "[]") == 200);
    CHECK(f.pulls.pending() == 0);
}

TEST_CASE("the items of a pull list are worked on as they are listed", "[router][routes][lists]") {
    app_fixture f;
    const std::vector<protocol::pull_item> items{
        {.locator = foo_hash + "+3", .servers = {"http://a:1", "https://b/keep?x#y"}, .mount_uuid = "m"},
        {.locator = foo_hash + "+4+Kx", .servers = {}, .mount_uuid = ""}};
    CHECK(f.status_of("PUT", "/pull", as_admin, protocol::encode_list(items)) == 200);
    for (const auto& item : items) {
        std::optional<store::work_queue<protocol::pull_item>::claim> claimed;
        run(claim_one(f.pulls, claimed));
        REQUIRE(claimed);
        CHECK(claimed->item == item);
    }
    CHECK(f.pulls.pending() == 0);
    CHECK(f.trash.pending() == 0);
    // The body is limited, and one that is too large replaces nothing.
    REQUIRE(f.status_of("PUT", "/pull", as_admin, protocol::encode_list(items)) == 200);
    const std::string text = "[]";
    const std::string most = text + std::string(limits::work_list_bytes_max - text.size(), ' ');
    CHECK(f.status_of("PUT", "/pull", as_admin, most + " ") == 413);
    CHECK(f.pulls.pending() == 2);
    CHECK(f.status_of("PUT", "/pull", as_admin, most) == 200);
    CHECK(f.pulls.pending() == 0);
}

TEST_CASE("the progress of work lists, and which list was taken", "[router][routes][lists]") {
    app_fixture f;
    store::pull_counters pulled;
    auto options = default_app_options();
    options.pull_counters = &pulled;
    router::app app(options, f.store, f.pulls, f.trash);
    const auto work = [&] {
        fake_exchange ex("GET", "/_work", as_admin);
        run(app.handle(ex));
        CHECK(ex.status() == 200);
        CHECK(ex.sent_header("Content-Type") == "application/json");
        return nlohmann::json::parse(ex.sent_body());
    };
    const auto put = [&](const std::string& path, const std::string& body) {
        fake_exchange ex("PUT", path, as_admin, body);
        run(app.handle(ex));
        return ex.status();
    };
    const auto before = work();
    CHECK(before["pull"] == nlohmann::json{{"pending", 0},
                                           {"in_progress", 0},
                                           {"outcomes", {{"pulled", 0}, {"present", 0}, {"failed", 0}}},
                                           {"last", nullptr}});
    CHECK(before["trash"]["outcomes"] ==
          nlohmann::json{{"trashed", 0}, {"kept", 0}, {"missing", 0}, {"refused", 0}, {"failed", 0}});
    CHECK(before["trash"]["last"].is_null());
    CHECK(before["started_at"].get<std::string>().size() == std::string("2026-01-31T00:00:00Z").size());

    const std::string trash =
        R"([{"locator":")" + foo_hash + R"(+3","block_mtime":1},{"locator":"x","block_mtime":1}])";
    REQUIRE(put("/trash", trash + " ") == 200);
    const auto listed = work();
    CHECK(listed["trash"]["pending"] == 2);
    CHECK(listed["trash"]["last"]["items"] == 2);
    // Of the bytes as they came, the blank at the end among them.
    CHECK(listed["trash"]["last"]["sha256"] == to_hex(sha256(trash + " ")));
    CHECK(listed["pull"]["last"].is_null());
    const std::string pull = R"([{"locator":")" + foo_hash + R"(+3","servers":[]}])";
    REQUIRE(put("/pull", pull) == 200);
    const auto to_pull = work()["pull"];
    CHECK(to_pull["pending"] == 1);
    CHECK(to_pull["last"]["items"] == 1);
    CHECK(to_pull["last"]["sha256"] == to_hex(sha256(pull)));
    CHECK(work()["trash"] == listed["trash"]);
    // From a balance tool too old to list sizes.
    REQUIRE(put("/pull", R"([{"locator":")" + foo_hash + R"("}])") == 400);
    CHECK(work()["pull"] == to_pull);

    // A refused list is not taken.
    REQUIRE(put("/trash", "[{]") == 500);
    CHECK(work()["trash"] == listed["trash"]);

    std::optional<trash_queue::claim> claimed;
    run(claim_one(f.trash, claimed));
    REQUIRE(claimed);
    CHECK(work()["trash"]["pending"] == 1);
    CHECK(work()["trash"]["in_progress"] == 1);
    f.store.context().counters.trash_refused.add();
    pulled.present.add(2);
    REQUIRE(put("/trash", "[]") == 200);
    const auto cleared = work();
    CHECK(cleared["trash"]["pending"] == 0);
    CHECK(cleared["trash"]["in_progress"] == 1);
    CHECK(cleared["trash"]["last"]["items"] == 0);
    CHECK(cleared["trash"]["last"]["sha256"] == to_hex(sha256("[]")));
    CHECK(cleared["trash"]["outcomes"]["refused"] == 1);
    CHECK(cleared["pull"]["outcomes"]["present"] == 2);
}
