/// Pull lists: what a slow, busy or silent server costs, a list that is replaced, and the end of the workers.
#include "protocol/limits.hpp"
#include "store/lists/pull_worker.hpp"
#include "tests/net/client/tls_identity.hpp"
#include "tests/store/lists/pull_fixture.hpp"

using namespace keepstore;
using namespace keepstore::test;

TEST_CASE("a server below the minimum throughput is left for the next one", "[store][pull]") {
    const std::string content = make_content(3 * chunk, 22);
    // 4 KiB each 10 ms: it would take more than two seconds, and is never silent.
    std::atomic<std::size_t> sent{0};
    script_server drips([&](peer& p, int) {
        p.head();
        p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(content.size()) + "\r\n\r\n");
        pollfd hangup{p.fd(), POLLRDHUP, 0};
        for (std::size_t at = 0; at < content.size() && p.send(std::string_view(content).substr(at, 4096));
             at += 4096) {
            sent = at;
            if (::poll(&hangup, 1, 10) == 1) return;
        }
    });
    keep_service good({.body = content});
    SECTION("below the rate") {
        pull_fixture f({.timing = {.connect = 10s, .first_byte = 10s, .progress = 10s},
                        .rate_bytes_min = 8 * MiB,
                        .rate_window = 500ms});
        f.pull(content, {"http://127.0.0.1:" + std::to_string(drips.port()), good.url()}, f.uuid(0));
        CHECK(good.requests().size() == 1);
        CHECK(f.stored(0, name_of(content)) == content);
        CHECK(sent < content.size() - 4096);
    }
    SECTION("above it") {
        pull_fixture f(
            {.timing = {.connect = 10s, .first_byte = 10s, .progress = 10s}, .rate_bytes_min = 1, .rate_window = 50ms});
        f.pull(content, {"http://127.0.0.1:" + std::to_string(drips.port()), good.url()}, f.uuid(0));
        CHECK(good.requests().empty());
        CHECK(f.stored(0, name_of(content)) == content);
    }
}

TEST_CASE("a server that is busy is asked again", "[store][pull]") {
    pull_fixture f;
    const std::string content = "retried";
    keep_service busy({.body = content, .fails_first = 2});
    f.pull(content, {busy.url()});
    CHECK(busy.requests().size() == 3);
    CHECK(f.stored(0, name_of(content)) == content);

    keep_service hopeless({.body = content, .fails_first = 1000});
    const std::string other = "other";
    f.pull(other, {hopeless.url()});
    CHECK(hopeless.requests().size() == limits::retry_rounds_max);
    CHECK(f.worker.counters().failed.value() == 1);
    CHECK(f.worker.counters().bad_blocks.value() == 0);
}

TEST_CASE("cancelled workers end, also in the middle of a block, and leave nothing behind", "[store][pull]") {
    pull_fixture f({.workers = 2});  // With the real timeouts.
    keep_service silent({.silent = true});
    const std::string content = make_content(4 * chunk);
    keep_service stuck({.body = content.substr(0, 2 * chunk), .announce = content.size()});
    store::work_queue<protocol::pull_item> queue;
    const std::string locator = name_of(content).hex() + "+" + std::to_string(content.size());
    queue.replace({{.locator = locator, .servers = {silent.url()}, .mount_uuid = f.uuid(0)},
                   {.locator = locator, .servers = {stuck.url()}, .mount_uuid = f.uuid(1)},
                   {.locator = locator, .servers = {stuck.url()}, .mount_uuid = ""}});
    asio::io_context& context = new_context();
    asio::cancellation_signal stops[2];
    int ended = 0;
    for (auto& stop : stops) {
        spawn(context.get_executor(), run_cancellable(f.worker.run(queue)), stop.slot(), [&](std::exception_ptr e) {
            CHECK(!e);
            ++ended;
        });
    }
    REQUIRE(turn_until(context, [&] { return silent.requests().size() == 1 && stuck.requests().size() == 1; }));
    CHECK(queue.in_progress() == 2);
    CHECK(queue.pending() == 1);
    for (auto& stop : stops) stop.emit(asio::cancellation_type::total);
    CHECK(turn_until(context, [&] { return ended == 2; }));
    CHECK(queue.in_progress() == 0);
    CHECK(queue.pending() == 1);
    CHECK(f.worker.counters().failed.value() == 0);
    CHECK(!f.stored(0, name_of(content)));
    CHECK(!f.stored(1, name_of(content)));
}

TEST_CASE("a server that does not come to an end in time is left for the next one", "[store][pull]") {
    pull_fixture f({.rate_bytes_min = 0, .attempt_timeout = 800ms});
    const std::string content = make_content(3 * chunk, 23);
    // Never silent, and no rate is asked for.
    script_server drips([&](peer& p, int) {
        p.head();
        p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(content.size()) + "\r\n\r\n");
        pollfd hangup{p.fd(), POLLRDHUP, 0};
        while (p.send("x") && ::poll(&hangup, 1, 10) == 0) {
        }
    });
    keep_service good({.body = content});
    f.pull(content, {"http://127.0.0.1:" + std::to_string(drips.port()), good.url()}, f.uuid(0));
    CHECK(good.requests().size() == 1);
    CHECK(f.stored(0, name_of(content)) == content);
}

TEST_CASE("servers are not asked again when the time for an item is over", "[store][pull]") {
    pull_fixture f({.timing = short_timeouts, .item_timeout = 0ms});
    const std::string content = "late";
    keep_service busy({.body = content, .fails_first = 1});
    f.pull(content, {busy.url()}, f.uuid(0));
    CHECK(busy.requests().size() == 1);
    CHECK(f.worker.counters().failed.value() == 1);
}

TEST_CASE("a pull that is cancelled while its volume does not respond is no failure", "[store][pull]") {
    pull_fixture f;
    f.faulty[0]->plan.stalls_writes = true;
    const std::string content = make_content(2 * chunk, 24);
    keep_service source({.body = content});
    store::work_queue<protocol::pull_item> queue;
    queue.replace({{.locator = name_of(content).hex() + "+" + std::to_string(content.size()),
                    .servers = {source.url()},
                    .mount_uuid = f.uuid(0)}});
    asio::io_context& context = new_context();
    asio::cancellation_signal stop;
    bool ended = false;
    spawn(context.get_executor(), run_cancellable(f.worker.run(queue)), stop.slot(),
          [&](const std::exception_ptr& thrown) {
              CHECK(!thrown);
              ended = true;
          });
    REQUIRE(turn_until(context, [&] { return f.faulty[0]->waits > 0; }));
    stop.emit(asio::cancellation_type::total);
    CHECK(turn_until(context, [&] { return ended; }));
    CHECK(f.worker.counters().failed.value() == 0);
    CHECK(!f.stored(0, name_of(content)));
}

TEST_CASE("a copy that cannot be opened in time does not keep a pull from storing the block", "[store][pull]") {
    pull_fixture f({.timing = short_timeouts, .attempt_timeout = 2s});
    const std::string content = "not readable now";
    keep_service source({.body = content});
    f.faulty[0]->plan.stalls_reads = true;
    f.pull(content, {source.url()}, f.uuid(0));
    CHECK(f.worker.counters().pulled.value() == 1);
    CHECK(f.stored(0, name_of(content)) == content);
}

TEST_CASE("a block that is complete is stored, however slowly it came", "[store][pull]") {
    pull_fixture f({.timing = {.connect = 10s, .first_byte = 10s, .progress = 10s},
                    .rate_bytes_min = 8 * MiB,
                    .rate_window = 50ms});
    const std::string content = "late, but all of it";
    script_server late([&](peer& p, int) {
        p.head();
        p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(content.size()) + "\r\n\r\n");
        pollfd hangup{p.fd(), POLLRDHUP, 0};
        if (::poll(&hangup, 1, 200) == 0) p.send(content);
    });
    f.pull(content, {"http://127.0.0.1:" + std::to_string(late.port())}, f.uuid(0));
    CHECK(f.worker.counters().pulled.value() == 1);
}

TEST_CASE("a body that ends early is no bad block, and is asked for again", "[store][pull]") {
    pull_fixture f;
    const std::string content = make_content(2 * chunk, 25);
    keep_service shorter({.body = content.substr(0, chunk), .how = service_plan::framing::chunked});
    f.pull(content, {shorter.url()}, f.uuid(0));
    CHECK(shorter.requests().size() == limits::retry_rounds_max);
    CHECK(f.worker.counters().failed.value() == 1);
    CHECK(f.worker.counters().bad_blocks.value() == 0);
}

TEST_CASE("a server with a bad certificate is not asked again, and sends nothing", "[store][pull]") {
    pull_fixture f;
    const std::string content = "behind a certificate";
    const auto own = serve_as(make_identity(nullptr, "IP:127.0.0.1"));
    std::atomic<int> served{0};
    script_server bad(
        [&](peer& p, int) {
            ++served;
            if (!p.head().empty()) p.answer(content);
        },
        own.get());
    keep_service good({.body = content});
    f.pull(content, {net::to_string(bad.to())}, f.uuid(0));
    CHECK(bad.accepted() == 1);
    CHECK(f.worker.counters().failed.value() == 1);
    f.pull(content, {net::to_string(bad.to()), good.url()}, f.uuid(0));
    CHECK(bad.accepted() == 2);
    CHECK(f.stored(0, name_of(content)) == content);
    bad.stop();
    CHECK(served == 0);
}

TEST_CASE("an attempt at one server has a time of its own, after which that server is not asked again",
          "[store][pull]") {
    pull_fixture f({.attempt_timeout = 800ms});
    const std::string content = "third time lucky";
    keep_service silent({.silent = true});
    keep_service quiet({.silent = true});
    keep_service good({.body = content});
    const auto began = std::chrono::steady_clock::now();
    f.pull(content, {silent.url(), quiet.url()}, f.uuid(0));
    CHECK(std::chrono::steady_clock::now() - began >= 1600ms);
    CHECK(f.worker.counters().failed.value() == 1);
    f.pull(content, {silent.url(), quiet.url(), good.url()}, f.uuid(0));
    CHECK(silent.requests().size() == 2);
    CHECK(quiet.requests().size() == 2);
    CHECK(f.stored(0, name_of(content)) == content);
}

TEST_CASE("busy servers are asked again in the order of the list", "[store][pull]") {
    pull_fixture f;
    const std::string content = "in turn";
    keep_service first({.body = content, .fails_first = 1});
    keep_service without({.status = 404});
    keep_service last({.body = content, .fails_first = 1});
    f.pull(content, {first.url(), without.url(), last.url()}, f.uuid(0));
    CHECK(first.requests().size() == 2);
    CHECK(without.requests().size() == 1);
    CHECK(last.requests().size() == 1);
    CHECK(f.stored(0, name_of(content)) == content);
}

TEST_CASE("what a pull may queue for its volume and for hashing fits the memory that it has reserved",
          "[store][pull]") {
    pull_fixture f;
    const std::string content = "queued";
    keep_service source({.body = content});
    f.pull(content, {source.url()}, f.uuid(0));
    CHECK(f.faulty[0]->queue_bytes >= chunk);
    CHECK(2 * f.faulty[0]->queue_bytes + 2 * chunk <= limits::pull_lease_chunks * chunk);
}

TEST_CASE("a worker's memory is that of one item, so that no item waits for another one's in mid-stream",
          "[store][pull]") {
    pull_fixture f({.workers = 2});
    keep_service silent({.silent = true});
    keep_service source({.body = "later"});
    const std::string locator = name_of("later").hex() + "+5";
    asio::io_context& context = new_context();
    asio::cancellation_signal stops[3];
    int ended = 0;
    const auto start = [&](asio::cancellation_signal& stop, const std::string& server) {
        protocol::pull_item item{.locator = locator, .servers = {server}, .mount_uuid = f.uuid(0)};
        spawn(context.get_executor(), run_cancellable(f.worker.execute(std::move(item))), stop.slot(),
              [&](const std::exception_ptr& thrown) {
                  CHECK(!thrown);
                  ++ended;
              });
    };
    start(stops[0], silent.url());
    start(stops[1], silent.url());
    REQUIRE(turn_until(context, [&] { return silent.requests().size() == 2; }));
    // One item more than there are workers.
    start(stops[2], source.url());
    REQUIRE(turn_until(context, [&] { return f.worker.memory().waiters == 1; }));
    CHECK(source.requests().empty());
    stops[0].emit(asio::cancellation_type::total);
    CHECK(turn_until(context, [&] { return ended == 2; }));
    CHECK(source.requests().size() == 1);
    stops[1].emit(asio::cancellation_type::total);
    CHECK(turn_until(context, [&] { return ended == 3; }));
    CHECK(f.worker.counters().failed.value() == 0);
    CHECK(f.stored(0, name_of("later")) == "later");
}
