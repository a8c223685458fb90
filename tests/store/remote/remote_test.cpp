/// Blocks of other clusters: which request is sent where, and which part of the response reaches the client.
#include "protocol/limits.hpp"
#include "store/remote/remote_reader.hpp"
#include "tests/store/remote/fetch_fixture.hpp"

#include <fmt/format.h>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;

namespace {

const std::string token = "v2/zzzzz-gj3su-077z32aux8dg2s1/3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi";
const std::string salted = "v2/zzzzz-gj3su-077z32aux8dg2s1/cc6a529e5f8f26732d000ecb9f4fc803d7e6a6eb";
const std::string signature = "0123456789012345678901234567890123456789@7fffffff";

std::string listed(const std::vector<std::uint16_t>& ports) {
    std::string items;
    for (std::size_t i = 0; i < ports.size(); ++i) {
        items += fmt::format(R"({}{{"uuid":"z0000-bi6l4-{:015x}","service_host":"127.0.0.1","service_port":{},)"
                             R"("service_ssl_flag":false,"service_type":"disk","read_only":false}})",
                             i ? "," : "", i, ports[i]);
    }
    return "{\"items\":[" + items + "],\"items_available\":" + std::to_string(ports.size()) + "}";
}

/// The API server of the other cluster: lists its services, hangs until its mode changes, or fails.
class flaky_api {
  public:
    enum mode_type { responds, hangs, fails };

    flaky_api(std::string list, mode_type at_first) : mode(at_first), list_(std::move(list)) {}

    [[nodiscard]] net::endpoint to() const { return server_.to(); }

    std::atomic<mode_type> mode;
    std::atomic<int> asked{0};

  private:
    void serve(peer& p) {
        while (!p.head().empty()) {
            ++asked;
            pollfd hangup{p.fd(), POLLRDHUP, 0};
            while (mode == hangs && ::poll(&hangup, 1, 5) == 0) {
            }
            if (mode == responds)
                p.answer(list_);
            else
                p.send("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
        }
    }

    const std::string list_;
    script_server server_{[this](peer& p, int) { serve(p); }};  // First to go.
};

struct remote_fixture : fixture {
    explicit remote_fixture(std::vector<service_plan> plans) {
        std::vector<std::uint16_t> ports;
        for (auto& p : plans) {
            services.push_back(std::make_unique<keep_service>(std::move(p)));
            ports.push_back(services.back()->port());
        }
        api = std::make_unique<keep_service>(service_plan{.body = listed(ports)});
        reader = std::make_unique<store::remote_reader>(
            std::vector<store::remote_reader::cluster>{{.id = "z0000", .api = api->to(), .client = &client}}, store);
    }

    store::remote_read_request request(const std::string& locator, bool head = false, std::string with = token) const {
        return {.block = *protocol::locator::parse(locator),
                .token = std::move(with),
                .request_id = "req-test",
                .head = head,
                .until = deadline::in(45s)};
    }
    static std::string remote_name(const std::string& content) {
        return name_of(content).hex() + "+" + std::to_string(content.size()) + "+Rz0000-" + signature;
    }
    static awaitable<result<std::uint64_t>> read_later(store::remote_reader& r, store::remote_read_request q,
                                                       string_sink& s) {
        co_return co_await r.read(q, s);
    }
    static awaitable<result<store::remote_reader::stored_copy>> copy_later(store::remote_reader& r,
                                                                           store::remote_read_request q) {
        co_return co_await r.copy_here(q);
    }
    result<std::uint64_t> read(const std::string& locator, string_sink& sink, bool head = false,
                               std::string with = token) {
        return run(read_later(*reader, request(locator, head, std::move(with)), sink));
    }
    errc failure(const std::string& locator, std::string with = token) {
        string_sink sink;
        const auto got = read(locator, sink, false, std::move(with));
        REQUIRE(!got.has_value());
        CHECK(sink.text.empty());
        CHECK(!sink.announced);
        return got.error().code;
    }
    [[nodiscard]] std::size_t asked() const {
        std::size_t n = 0;
        for (const auto& s : services) n += s->requests().size();
        return n;
    }

    net::client client = make_client();
    std::vector<std::unique_ptr<keep_service>> services;
    std::unique_ptr<keep_service> api;
    std::unique_ptr<store::remote_reader> reader;
};

}  // namespace

TEST_CASE("a remote block is fetched with the salted token and sent whole", "[store][remote]") {
    for (const std::size_t size : {std::size_t{0}, std::size_t{3}, chunk, chunk + 1, 5 * chunk + 17}) {
        INFO(size);
        const std::string content = make_content(size, 8);
        remote_fixture f({{.body = content}});
        string_sink sink;
        const auto got = f.read(f.remote_name(content), sink);
        REQUIRE(got.has_value());
        CHECK(*got == size);
        CHECK(sink.text == content);
        CHECK(sink.announced == size);
        REQUIRE(f.asked() == 1);
        const std::string head = f.services[0]->requests().front();
        CHECK(path_in(head) == "/" + name_of(content).hex() + "+" + std::to_string(size) + "+A" + signature);
        CHECK(header_in(head, "Authorization") == "Bearer " + salted);
        CHECK(header_in(head, "X-Request-Id") == "req-test");
        REQUIRE(f.api->requests().size() == 1);
        CHECK(path_in(f.api->requests().front()) == "/arvados/v1/keep_services/accessible");
        CHECK(header_in(f.api->requests().front(), "Authorization") == "Bearer xxx");
        // The list is remembered, and nothing is stored.
        string_sink again;
        CHECK(f.read(f.remote_name(content), again).has_value());
        CHECK(f.api->requests().size() == 1);
        string_sink local;
        CHECK(!f.get(name_of(content), std::max<std::size_t>(size, 1), local).has_value());
    }
}

TEST_CASE("HEAD fetches and verifies, with a size or without, and sends nothing", "[store][remote]") {
    const std::string content = make_content(2 * chunk + 1, 9);
    remote_fixture f({{.body = content}});
    for (const std::string& locator : {f.remote_name(content), name_of(content).hex() + "+Rz0000-" + signature}) {
        string_sink sink;
        const auto got = f.read(locator, sink, true);
        REQUIRE(got.has_value());
        CHECK(*got == content.size());
        CHECK(sink.announced == content.size());
        CHECK(sink.text.empty());
    }
    remote_fixture bad({{.body = flipped(content, content.size() - 1)}});
    string_sink sink;
    const auto got = bad.read(bad.remote_name(content), sink, true);
    REQUIRE(!got.has_value());
    CHECK(got.error() == errc::checksum_mismatch);
    CHECK(!sink.announced);
}

TEST_CASE("errors of the request are found before any request is sent", "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    const std::string good = f.remote_name("foo");
    const std::string hash = name_of("foo").hex();
    CHECK(f.failure(good, "") == errc::unauthorized);
    CHECK(f.failure(hash + "+3+Rz0000", "") == errc::unauthorized);
    CHECK(f.failure(hash + "+3+Rz0000") == errc::bad_request);
    CHECK(f.failure(hash + "+3+Rother-" + signature) == errc::bad_request);
    CHECK(f.failure(good, "3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi") == errc::bad_request);
    CHECK(f.failure(good, "junk") == errc::io_error);
    CHECK(f.failure(good, salted) == errc::io_error);
    CHECK(f.failure(good, "v2/z0000-gj3su-077z32aux8dg2s1/se\ncret") == errc::io_error);
    CHECK(f.asked() == 0);
    CHECK(f.api->requests().empty());
}

TEST_CASE("failures of the remote cluster are told apart", "[store][remote]") {
    const std::string content = make_content(1000, 10);
    struct row {
        service_plan plan;
        errc expected;
        std::size_t requests;
    };
    const row rows[] = {
        {{.status = 404}, errc::not_found, 1},
        {{.status = 401}, errc::not_found, 1},
        {{.status = 403}, errc::not_found, 1},
        {{.status = 400}, errc::not_found, 1},
        {{.status = 422}, errc::not_found, 1},
        {{.status = 429}, errc::unavailable, 3},
        {{.status = 500}, errc::unavailable, 3},
        {{.status = 503}, errc::unavailable, 3},
        {{.body = content.substr(1)}, errc::checksum_mismatch, 1},
        {{.body = content + "x"}, errc::checksum_mismatch, 1},
        {{.body = flipped(content, 500)}, errc::checksum_mismatch, 1},
        {{.body = content, .cut_at = 500}, errc::unavailable, 3},
        {{.body = content + "x", .how = service_plan::framing::chunked}, errc::checksum_mismatch, 1},
        {{.body = content.substr(1), .how = service_plan::framing::chunked}, errc::unavailable, 3},
        {{.body = content, .how = service_plan::framing::endless}, errc::checksum_mismatch, 1},
    };
    for (const auto& r : rows) {
        INFO(r.plan.status << " " << r.plan.body.size());
        remote_fixture f({r.plan});
        CHECK(f.failure(f.remote_name(content)) == r.expected);
        CHECK(f.asked() == r.requests);
        CHECK(f.reader->counters().blocks.value() == 0);
        CHECK(f.reader->counters().errors.value() == (r.expected == errc::not_found ? 0 : 1));
    }
}

TEST_CASE("a failing API server is an outage, and is not asked again at once", "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    for (const service_plan& plan :
         {service_plan{.status = 502}, service_plan{.body = "<html>"}, service_plan{.body = listed({})}}) {
        keep_service api(plan);
        store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store);
        for (int i = 0; i < 2; ++i) {
            string_sink sink;
            const auto got = run(remote_fixture::read_later(reader, f.request(f.remote_name("foo")), sink));
            REQUIRE(!got.has_value());
            CHECK(got.error() == errc::unavailable);
            CHECK(got.error().text.find("list of keep services") != std::string::npos);
        }
        CHECK(api.requests().size() == 1);
    }
}

TEST_CASE("readers that wait for the list share one fetch, which goes on without the one that began it",
          "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    flaky_api api(listed({f.services[0]->port()}), flaky_api::hangs);
    store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store);
    struct job {
        string_sink sink;
        asio::cancellation_signal cancel;
        std::optional<result<std::uint64_t>> got;
    };
    std::vector<std::unique_ptr<job>> jobs;
    asio::io_context& context = new_context();
    const auto guarded = [](store::remote_reader& r, store::remote_read_request q,
                            string_sink& s) -> awaitable<result<std::uint64_t>> {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await r.read(q, s);
    };
    for (int i = 0; i < 5; ++i) {
        auto& j = *jobs.emplace_back(std::make_unique<job>());
        asio::co_spawn(
            context, guarded(reader, f.request(f.remote_name("foo")), j.sink),
            asio::bind_cancellation_slot(j.cancel.slot(), [&j](std::exception_ptr e, result<std::uint64_t> got) {
                if (!e) j.got = std::move(got);
            }));
    }
    REQUIRE(turn_until(context, [&] { return api.asked == 1; }));
    // A waiting reader leaves; then the one that started the fetch.
    jobs[3]->cancel.emit(asio::cancellation_type::total);
    REQUIRE(turn_until(context, [&] { return jobs[3]->got.has_value(); }));
    CHECK(jobs[3]->got->error() == errc::cancelled);
    CHECK(api.asked == 1);
    jobs[0]->cancel.emit(asio::cancellation_type::total);
    REQUIRE(turn_until(context, [&] { return jobs[0]->got.has_value(); }));
    api.mode = flaky_api::responds;
    CHECK(turn_until(context,
                     [&] { return std::ranges::all_of(jobs, [](const auto& j) { return j->got.has_value(); }); }));
    CHECK(jobs[0]->got->error() == errc::cancelled);
    for (const int i : {1, 2, 4}) {
        REQUIRE(jobs[static_cast<std::size_t>(i)]->got->has_value());
        CHECK(jobs[static_cast<std::size_t>(i)]->sink.text == "foo");
    }
    CHECK(api.asked == 1);
}

TEST_CASE("a reader that runs out of time does not end the fetch for the others", "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    flaky_api api(listed({f.services[0]->port()}), flaky_api::hangs);
    store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store);
    asio::io_context& context = new_context();
    string_sink first, second;
    std::optional<result<std::uint64_t>> one, two;
    auto hasty = f.request(f.remote_name("foo"));
    hasty.until = deadline::in(100ms);
    asio::co_spawn(context, remote_fixture::read_later(reader, hasty, first),
                   [&](const std::exception_ptr&, result<std::uint64_t> got) { one = std::move(got); });
    REQUIRE(turn_until(context, [&] { return one.has_value(); }));
    REQUIRE(!one->has_value());
    CHECK(one->error() == errc::timeout);
    // The first one's timeout does not count as a failure of the API server.
    asio::co_spawn(context, remote_fixture::read_later(reader, f.request(f.remote_name("foo")), second),
                   [&](const std::exception_ptr&, result<std::uint64_t> got) { two = std::move(got); });
    api.mode = flaky_api::responds;
    REQUIRE(turn_until(context, [&] { return two.has_value(); }));
    REQUIRE(two->has_value());
    CHECK(second.text == "foo");
    CHECK(api.asked == 1);
}

TEST_CASE("an expired list is served while a new one is fetched, and kept when that fails", "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    flaky_api api(listed({f.services[0]->port()}), flaky_api::responds);
    asio::io_context& context = new_context();
    const auto read = [&](store::remote_reader& reader) {
        string_sink sink;
        std::optional<result<std::uint64_t>> got;
        asio::co_spawn(context, remote_fixture::read_later(reader, f.request(f.remote_name("foo")), sink),
                       [&](const std::exception_ptr&, result<std::uint64_t> r) { got = std::move(r); });
        REQUIRE(turn_until(context, [&] { return got.has_value(); }));
        return got->has_value() && sink.text == "foo";
    };
    SECTION("served, and renewed") {
        store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store,
                                    {.lifetime = 1ms, .served_max = 1h, .retry_after = 1ms});
        CHECK(read(reader));
        api.mode = flaky_api::hangs;
        // No reader waits for it (it ends after limits::remote_services_timeout), and there is one fetch at a time.
        const auto began = std::chrono::steady_clock::now();
        for (int i = 0; i < 3; ++i) CHECK(read(reader));
        CHECK(std::chrono::steady_clock::now() - began < 10s);
        REQUIRE(turn_until(context, [&] { return api.asked == 2; }));
        api.mode = flaky_api::fails;
        REQUIRE(turn_until(context, [&] { return read(reader) && api.asked >= 4; }));
        api.mode = flaky_api::responds;
        const int before = api.asked;
        REQUIRE(turn_until(context, [&] { return read(reader) && api.asked >= before + 2; }));
    }
    SECTION("too old to be served before it is renewed, but kept when that fails") {
        store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store,
                                    {.lifetime = 1ms, .served_max = 1ms, .retry_after = 1h});
        CHECK(read(reader));
        api.mode = flaky_api::fails;
        REQUIRE(turn_until(context, [&] { return read(reader) && api.asked >= 2; }));
        const int then = api.asked;
        CHECK(read(reader));
        CHECK(api.asked == then);
    }
}

TEST_CASE("redirects are not followed, neither a keep service's nor an API server's", "[store][remote]") {
    for (const unsigned status : {301u, 302u, 303u, 307u, 308u}) {
        keep_service target({.body = "foo"});
        const service_plan away{.status = status, .headers = "Location: " + target.url() + "/x\r\n"};
        remote_fixture f({away});
        CHECK(f.failure(f.remote_name("foo")) == errc::unavailable);
        keep_service api(away);
        store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store);
        string_sink sink;
        const auto got = run(remote_fixture::read_later(reader, f.request(f.remote_name("foo")), sink));
        REQUIRE(!got.has_value());
        CHECK(got.error() == errc::unavailable);
        CHECK(api.requests().size() == 1);
        CHECK(target.requests().empty());
    }
}

TEST_CASE("chunked blocks are accepted", "[store][remote]") {
    for (const std::size_t size : {std::size_t{0}, std::size_t{3}, 2 * chunk + 1}) {
        const std::string content = make_content(size, 23);
        remote_fixture f({{.body = content, .how = service_plan::framing::chunked}});
        string_sink sink;
        REQUIRE(f.read(f.remote_name(content), sink).has_value());
        CHECK(sink.text == content);
    }
}

TEST_CASE("error texts for clients name no server of the other cluster", "[store][remote]") {
    const auto text = [](const remote_fixture& f, store::remote_reader& reader) {
        string_sink sink;
        const auto got = run(remote_fixture::read_later(reader, f.request(remote_fixture::remote_name("foo")), sink));
        return got ? std::string("success") : got.error().text;
    };
    for (const service_plan& plan :
         {service_plan{.status = 404}, service_plan{.status = 403}, service_plan{.status = 500},
          service_plan{.status = 302}, service_plan{.body = "bar"}, service_plan{.body = "fo"}}) {
        remote_fixture f({plan});
        const auto said = text(f, *f.reader);
        INFO(said);
        CHECK(said.starts_with("the remote cluster"));
        CHECK(said.find("127.0.0.1") == std::string::npos);
        // Nor do those of a service or an API server that does not run.
        f.services[0]->stop();
        store::remote_reader other({{.id = "z0000", .api = f.api->to(), .client = &f.client}}, f.store);
        CHECK(text(f, other).find("127.0.0.1") == std::string::npos);
        f.api->stop();
        store::remote_reader nowhere({{.id = "z0000", .api = f.api->to(), .client = &f.client}}, f.store);
        CHECK(text(f, nowhere).find("127.0.0.1") == std::string::npos);
    }
}

TEST_CASE("another service takes over, also in the middle of a block", "[store][remote]") {
    const std::string content = make_content(4 * chunk + 3, 11);
    const std::vector<service_plan> faults{
        {.status = 404},
        {.status = 500},
        {.body = content, .cut_at = 100},
        {.body = content, .cut_at = chunk + 100},
        {.body = content, .cut_at = 3 * chunk},
        {.body = flipped(content, content.size() - 1)},
    };
    for (const auto& fault : faults) {
        INFO(fault.status << " " << fault.cut_at);
        // Both orders: which of the two is asked first depends on the name.
        for (const bool first : {true, false}) {
            remote_fixture f(first ? std::vector<service_plan>{fault, {.body = content}}
                                   : std::vector<service_plan>{{.body = content}, fault});
            string_sink sink;
            const auto got = f.read(f.remote_name(content), sink);
            REQUIRE(got.has_value());
            CHECK(sink.text == content);
            CHECK(sink.announced == content.size());
        }
    }
}

TEST_CASE("a service with other bytes does not continue where another one was cut", "[store][remote]") {
    const std::string content = make_content(4 * chunk, 12);
    // The client has the first chunk of one; the other's first byte differs, or its last.
    for (const std::size_t at : {std::size_t{0}, content.size() - 1}) {
        for (const bool swap : {true, false}) {
            std::vector<service_plan> plans{{.body = content, .cut_at = chunk + 1}, {.body = flipped(content, at)}};
            if (swap) std::swap(plans[0], plans[1]);
            remote_fixture f(plans);
            string_sink sink;
            const auto got = f.read(f.remote_name(content), sink);
            CHECK(!got.has_value());
            CHECK(sink.text.size() < content.size());
        }
    }
}

TEST_CASE("the last piece of a wrong large block is withheld", "[store][remote]") {
    const std::string content = make_content(3 * chunk + 5, 13);
    remote_fixture f({{.body = flipped(content, 10)}});
    string_sink sink;
    const auto got = f.read(f.remote_name(content), sink);
    REQUIRE(!got.has_value());
    CHECK(got.error() == errc::checksum_mismatch);
    CHECK(sink.text.size() == 3 * chunk);
    CHECK(f.reader->counters().bad_blocks.value() == 1);
}

TEST_CASE("a client that leaves ends the fetch", "[store][remote]") {
    const std::string content = make_content(8 * chunk, 14);
    remote_fixture f({{.body = content}, {.body = content}});
    string_sink sink;
    sink.fail_at = 2 * chunk;
    const auto got = f.read(f.remote_name(content), sink);
    REQUIRE(!got.has_value());
    CHECK(got.error() == errc::cancelled);
    CHECK(sink.text.size() == 2 * chunk);
    CHECK(f.asked() == 1);
}

TEST_CASE("a copy for ourselves is verified, stored, and found without the other cluster", "[store][remote]") {
    const std::string content = make_content(2 * chunk + 77, 15);
    remote_fixture f({{.body = content}});
    const auto stored = run(remote_fixture::copy_later(*f.reader, f.request(f.remote_name(content))));
    REQUIRE(stored.has_value());
    CHECK(stored->size == content.size());
    CHECK(stored->locator == name_of(content).hex() + "+" + std::to_string(content.size()));
    string_sink sink;
    CHECK(f.get(name_of(content), content.size(), sink).has_value());
    CHECK(sink.text == content);
    CHECK(f.asked() == 1);

    for (const service_plan& plan :
         {service_plan{.body = flipped(content, 0)}, service_plan{.body = content, .cut_at = chunk},
          service_plan{.body = content + "x", .how = service_plan::framing::chunked},
          service_plan{.body = content.substr(0, chunk), .how = service_plan::framing::chunked}}) {
        remote_fixture bad({plan});
        const auto refused = run(remote_fixture::copy_later(*bad.reader, bad.request(bad.remote_name(content))));
        REQUIRE(!refused.has_value());
        CHECK((refused.error() == errc::checksum_mismatch || refused.error() == errc::unavailable));
        string_sink nothing;
        CHECK(!bad.get(name_of(content), content.size(), nothing).has_value());
        // From another service it is taken all the same.
        remote_fixture mixed({plan, {.body = content}});
        CHECK(run(remote_fixture::copy_later(*mixed.reader, mixed.request(mixed.remote_name(content)))).has_value());
    }
    f.faulty[0]->plan.fail_create = f.faulty[1]->plan.fail_create = true;
    f.faulty[0]->plan.with = f.faulty[1]->plan.with = error(errc::no_space);
    const std::string other = "not stored yet";
    remote_fixture full({{.body = other}});
    full.faulty[0]->plan = f.faulty[0]->plan;
    full.faulty[1]->plan = f.faulty[1]->plan;
    const auto refused = run(remote_fixture::copy_later(*full.reader, full.request(full.remote_name(other))));
    REQUIRE(!refused.has_value());
    CHECK(refused.error() == errc::no_space);
}
