/// Pull lists: which servers are asked, which responses are accepted, and on which mount the block is stored.
#include "protocol/limits.hpp"
#include "store/lists/pull_worker.hpp"
#include "store/lists/trash_worker.hpp"
#include "store/verify/verify_copy.hpp"
#include "tests/store/lists/pull_fixture.hpp"

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;

TEST_CASE("a pulled block is stored on the mount that the list names, with its waypoints", "[store][pull]") {
    pull_fixture f;
    f.memory[1]->keep_attributes(true);
    const std::string content = make_content(3 * chunk + 12345);
    keep_service source({.body = content});
    f.pull(content, {source.url() + "/"}, f.uuid(1));
    CHECK(f.stored(1, name_of(content)) == content);
    CHECK(!f.stored(0, name_of(content)));
    CHECK(f.worker.counters().pulled.value() == 1);
    CHECK(f.worker.counters().bytes.value() == content.size());
    REQUIRE(source.requests().size() == 1);
    const std::string head = source.requests().front();
    CHECK(path_in(head) == "/" + name_of(content).hex() + "+" + std::to_string(content.size()));
    CHECK(header_in(head, "Authorization").starts_with("Bearer "));

    // The waypoints: a read of it verifies in parallel and finds nothing to add.
    string_sink sink;
    CHECK(f.get(name_of(content), content.size(), sink));
    CHECK(sink.text == content);
    CHECK(f.store.counters().waypoints_added.value() == 0);
}

TEST_CASE("without a mount the first writable one in order takes the block", "[store][pull]") {
    pull_fixture f;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, chunk, chunk + 1}) {
        const std::string content = make_content(size, 7);
        keep_service source({.body = content});
        f.pull(content, {source.url()});
        CHECK(f.stored(0, name_of(content)) == content);
        CHECK(!f.stored(1, name_of(content)));
    }
}

TEST_CASE("a pull is signed for a token that is not the system's, with the cluster's key", "[store][pull]") {
    const std::string key = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    pull_fixture f;
    store::block_store signing(
        {.blob_signing = true, .blob_signing_key = key, .protect_for = 1h, .blob_trash = true, .trash_lifetime = 1h},
        store::mount_table(f.make_mounts({{"default"}})), f.pool, f.engine);
    store::pull_worker worker(signing.context(), f.client, {.timing = short_timeouts});
    const std::string content = "signed";
    keep_service source({.body = content});
    run(pull_fixture::execute(worker,
                              {.locator = name_of(content).hex() + "+6", .servers = {source.url()}, .mount_uuid = ""}));
    CHECK(worker.counters().pulled.value() == 1);
    REQUIRE(source.requests().size() == 1);
    const std::string token = header_in(source.requests().front(), "Authorization").substr(7);
    CHECK(token.size() == 36);
    const protocol::locator_signer signer(key, 1h);
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    CHECK(signer.verify(path_in(source.requests().front()).substr(1), token, now).has_value());
}

TEST_CASE("servers are tried in the order of the list until one sends the right block", "[store][pull]") {
    const std::string content = make_content(2 * chunk + 99, 3);
    struct row {
        std::string what;
        service_plan first;
        bool silent_is_slow = false;
    };
    std::string longer = content + "x";
    const row rows[] = {
        {"has it not", {.status = 404}},
        {"refuses", {.status = 403}},
        {"fails", {.status = 500}},
        {"redirects", {.status = 302, .headers = "Location: http://169.254.169.254/\r\n"}},
        {"wrong last byte", {.body = flipped(content, content.size() - 1)}},
        {"wrong first byte", {.body = flipped(content, 0)}},
        {"longer", {.body = longer}},
        {"shorter", {.body = content.substr(0, content.size() - 1)}},
        {"cut short", {.body = content, .cut_at = chunk + 5}},
        {"says nothing", {.silent = true}},
        {"chunked, longer", {.body = longer, .how = service_plan::framing::chunked}},
        {"chunked, shorter", {.body = content.substr(0, chunk), .how = service_plan::framing::chunked}},
        {"chunked, without an end", {.body = content, .how = service_plan::framing::endless}},
        {"stands still", {.body = content.substr(0, chunk), .announce = content.size()}},
    };
    for (const auto& r : rows) {
        INFO(r.what);
        pull_fixture f;
        keep_service bad(r.first);
        keep_service good({.body = content});
        const auto began = std::chrono::steady_clock::now();
        f.pull(content, {bad.url(), good.url()}, f.uuid(0));
        CHECK(std::chrono::steady_clock::now() - began < limits::net_first_byte_timeout / 2);  // Those of the worker.
        CHECK(bad.requests().size() == 1);
        CHECK(good.requests().size() == 1);
        CHECK(f.stored(0, name_of(content)) == content);
        CHECK(f.worker.counters().pulled.value() == 1);
        CHECK(f.worker.counters().failed.value() == 0);
    }
}

TEST_CASE("a chunked block is accepted", "[store][pull]") {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, 2 * chunk + 99}) {
        pull_fixture f;
        const std::string content = make_content(size, 21);
        keep_service source({.body = content, .how = service_plan::framing::chunked});
        f.pull(content, {source.url()}, f.uuid(0));
        CHECK(f.stored(0, name_of(content)) == content);
        CHECK(source.requests().size() == 1);
    }
}

TEST_CASE("an item that throws is a failed one, and its worker goes on", "[store][pull][trash]") {
    pull_fixture f;
    f.faulty[0]->plan.throws = true;
    const std::string content = "after the end of memory";
    const auto name = name_of(content);
    const std::string locator = name.hex() + "+" + std::to_string(content.size());
    asio::io_context& context = new_context();
    asio::cancellation_signal stop;
    bool ended = false;
    const auto over = [&](const std::exception_ptr& thrown) {
        CHECK(!thrown);
        ended = true;
    };
    SECTION("of a pull list") {
        keep_service source({.body = content});
        store::work_queue<protocol::pull_item> queue;
        queue.replace({{.locator = locator, .servers = {source.url()}, .mount_uuid = f.uuid(0)},
                       {.locator = locator, .servers = {source.url()}, .mount_uuid = f.uuid(1)}});
        spawn(context.get_executor(), run_cancellable(f.worker.run(queue)), stop.slot(), over);
        CHECK(turn_until(context, [&] { return ended || f.worker.counters().pulled.value() == 1; }));
        CHECK(f.worker.counters().failed.value() == 1);
        CHECK(f.stored(1, name) == content);
        REQUIRE_FALSE(ended);
        stop.emit(asio::cancellation_type::total);
        CHECK(turn_until(context, [&] { return ended; }));
        CHECK(queue.in_progress() == 0);
    }
    SECTION("of a trash list") {
        const volumes::block_time old(std::chrono::nanoseconds(1'000'000'000));
        for (const auto& m : f.memory) m->plant(name, content, old);
        store::work_queue<protocol::trash_item> queue;
        queue.replace({{.locator = locator, .block_mtime = 1'000'000'000, .mount_uuid = f.uuid(0)},
                       {.locator = locator, .block_mtime = 1'000'000'000, .mount_uuid = f.uuid(1)}});
        spawn(context.get_executor(), run_cancellable(store::run_trash_worker(f.store, queue)), stop.slot(), over);
        CHECK(turn_until(context, [&] { return ended || !f.memory[1]->content(name); }));
        CHECK(f.memory[0]->content(name).has_value());
        CHECK(f.store.counters().trash_failed.value() == 1);
        REQUIRE_FALSE(ended);
        stop.emit(asio::cancellation_type::total);
        CHECK(turn_until(context, [&] { return ended; }));
        CHECK(queue.in_progress() == 0);
    }
}

TEST_CASE("wrong bytes of a server never become visible", "[store][pull]") {
    const std::string content = make_content(2 * chunk + 99, 4);
    for (const auto& body : {flipped(content, content.size() - 1), flipped(content, 5), content + "x",
                             content.substr(0, 100), std::string()}) {
        pull_fixture f;
        keep_service bad({.body = body});
        f.pull(content, {bad.url()});
        CHECK(!f.stored(0, name_of(content)));
        CHECK(!f.stored(1, name_of(content)));
        CHECK(f.worker.counters().failed.value() == 1);
        CHECK(f.worker.counters().bad_blocks.value() == 1);
        // Wrong bytes do not get better.
        CHECK(bad.requests().size() == 1);
    }
}

TEST_CASE("a good copy on the mount is touched and no server is asked, a bad one is replaced", "[store][pull]") {
    pull_fixture f;
    const std::string content = make_content(chunk + 7, 5);
    const auto old = volumes::block_time(std::chrono::nanoseconds(1'000'000'000));
    keep_service source({.body = content});
    f.memory[0]->plant(name_of(content), content, old);
    f.pull(content, {source.url()}, f.uuid(0));
    CHECK(source.requests().empty());
    CHECK(f.faulty[0]->touches == 1);
    CHECK(f.worker.counters().present.value() == 1);

    // On another mount it is not there.
    f.pull(content, {source.url()}, f.uuid(1));
    CHECK(source.requests().size() == 1);
    CHECK(f.stored(1, name_of(content)) == content);

    const auto known_bad = [&] { return f.store.context().bad_copy_log.knows(f.uuid(0), name_of(content)); };
    for (const auto& rotten : {flipped(content, 3), content.substr(0, 100), std::string()}) {
        f.memory[0]->rot(name_of(content), rotten);
        const auto before = source.requests().size();
        f.pull(content, {source.url()}, f.uuid(0));
        CHECK(source.requests().size() == before + 1);
        CHECK(f.stored(0, name_of(content)) == content);
        CHECK(!known_bad());
    }
    // Bad copies of the right size are read, and remembered until they are replaced.
    const auto bad_copies = f.store.counters().bad_copies.value();
    f.memory[0]->rot(name_of(content), flipped(content, 3));
    f.pull(content, {}, f.uuid(0));
    CHECK(f.store.counters().bad_copies.value() == bad_copies + 1);
    CHECK(known_bad());
    f.pull(content, {source.url()}, f.uuid(0));
    CHECK(!known_bad());
    // One that cannot be read is no bad copy.
    f.faulty[0]->plan.fail_read_at = 0;
    f.pull(content, {}, f.uuid(0));
    CHECK(f.store.counters().bad_copies.value() == bad_copies + 2);
    CHECK(!known_bad());
    f.faulty[0]->plan.fail_read_at = fault_plan::never;
    // A locator with another size does not name the copy.
    const auto present = f.worker.counters().present.value();
    f.pull_named(name_of(content), content.size() + 1, {source.url()}, f.uuid(0));
    CHECK(f.worker.counters().present.value() == present);

    // Trashed between looking and touching.
    f.faulty[0]->plan.touch_says_not_found = true;
    const auto before = source.requests().size();
    f.pull(content, {source.url()}, f.uuid(0));
    CHECK(source.requests().size() == before + 1);
}

TEST_CASE("a mount that may not be written to takes no block, named or not", "[store][pull]") {
    pull_fixture f;
    auto mounts = f.make_mounts({{"default"}, {"default"}});  // In addition to those of the fixture.
    mounts[0].allow_write = false;
    const std::string uuid = mounts[0].uuid;
    store::block_store half({.blob_signing = false, .blob_signing_key = "", .protect_for = 1h},
                            store::mount_table(std::move(mounts)), f.pool, f.engine);
    store::pull_worker worker(half.context(), f.client, {.timing = short_timeouts});
    const std::string content = "read-only";
    keep_service source({.body = content});
    const std::string locator = name_of(content).hex() + "+9";
    run(pull_fixture::execute(worker, {.locator = locator, .servers = {source.url()}, .mount_uuid = uuid}));
    CHECK(source.requests().empty());
    CHECK(worker.counters().failed.value() == 1);
    run(pull_fixture::execute(worker, {.locator = locator, .servers = {source.url()}, .mount_uuid = ""}));
    CHECK(worker.counters().pulled.value() == 1);
    CHECK(!f.stored(2, name_of(content)));
    CHECK(f.stored(3, name_of(content)) == content);
}

TEST_CASE("items that cannot be executed send no request", "[store][pull]") {
    pull_fixture f;
    const std::string content = "unwanted";
    keep_service source({.body = content});
    f.pull(content, {source.url()}, "zzzzz-nyw5e-999999999999999");
    run(pull_fixture::execute(f.worker, {.locator = "no locator", .servers = {source.url()}, .mount_uuid = ""}));
    f.pull(content, {});
    for (const std::string url : {"", "file:///etc/passwd", "gopher://127.0.0.1:70", "127.0.0.1:25107", "http://",
                                  "http://user:secret@127.0.0.1/", "http://127.0.0.1:99999", "http://127.0.0.1/?x=1"}) {
        INFO(url);
        f.pull(content, {url});
    }
    CHECK(source.requests().empty());
    CHECK(f.worker.counters().failed.value() == 11);
    CHECK(!f.stored(0, name_of(content)));
}

TEST_CASE("a failing volume is not the server's fault, and no other server is asked", "[store][pull]") {
    const std::string content = make_content(2 * chunk, 6);
    struct row {
        std::string what;
        fault_plan plan;
    };
    const row rows[] = {{"create", {.fail_create = true}},
                        {"append", {.fail_append_at = chunk + 1}},
                        {"commit", {.fail_commit = true}}};
    for (const auto& r : rows) {
        INFO(r.what);
        pull_fixture f;
        f.faulty[0]->plan = r.plan;
        keep_service one({.body = content});
        keep_service two({.body = content});
        f.pull(content, {one.url(), two.url()}, f.uuid(0));
        CHECK(one.requests().size() == 1);
        CHECK(two.requests().empty());
        CHECK(f.worker.counters().failed.value() == 1);
        CHECK(!f.stored(0, name_of(content)));
    }
}

TEST_CASE("link-local and metadata addresses are never asked, whatever they are called", "[store][pull]") {
    const net::client client =
        make_client({.refuse_link_local = true, .hosts = {{"metadata.example", "169.254.169.254"}}});
    for (const std::string host :
         {"169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::254%1",
          "64:ff9b::169.254.169.254", "100.100.100.200", "168.63.129.16", "metadata.example"}) {
        INFO(host);
        const auto a = call_once(client, {.to = {false, host, 80}, .target = "/"});
        CHECK(a.failed_with(errc::bad_request, net::failure::invalid_request));
    }
    // Not by accident: a host of the neighbouring network is tried, and is out of reach.
    keep_service source({.body = "x"});
    CHECK(call_once(client, {.to = source.to(), .target = "/"}).status == 200);
}

TEST_CASE("servers outside the allow-list are not asked", "[store][pull]") {
    const std::string content = "guarded";
    keep_service source({.body = content});
    pull_fixture f({.hosts = *protocol::host_rules::parse({"127.0.0.1:1", "keep.example"}), .timing = short_timeouts});
    f.pull(content, {source.url()});
    CHECK(source.requests().empty());
    CHECK(f.worker.counters().failed.value() == 1);
    pull_fixture g({.hosts = *protocol::host_rules::parse({"127.0.0.0/8"}), .timing = short_timeouts});
    g.pull(content, {source.url()});
    CHECK(g.worker.counters().pulled.value() == 1);
}
