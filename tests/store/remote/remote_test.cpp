/// Blocks of other clusters: which request is sent where, and which part of the response reaches the client.
#include "protocol/limits.hpp"
#include "store/remote/remote_reader.hpp"
#include "tests/net/client/tls_identity.hpp"
#include "tests/store/remote/fetch_fixture.hpp"
#include "tests/store/remote/remote_fixture.hpp"

#include <fmt/format.h>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;

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
        {{.status = 408}, errc::unavailable, 3},
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
    // The client has the first chunk of one; the other's first byte differs, or its last, or all of them.
    for (const std::string& other :
         {flipped(content, 0), flipped(content, content.size() - 1), make_content(4 * chunk, 26)}) {
        for (const bool swap : {true, false}) {
            std::vector<service_plan> plans{{.body = content, .cut_at = chunk + 1}, {.body = other}};
            if (swap) std::swap(plans[0], plans[1]);
            remote_fixture f(plans);
            string_sink sink;
            const auto got = f.read(f.remote_name(content), sink);
            CHECK(!got.has_value());
            CHECK(sink.text.size() < content.size());
            const bool of_one = content.starts_with(sink.text) || other.starts_with(sink.text);
            CHECK(of_one);
        }
    }
}

TEST_CASE("a service whose block has another size does not continue where another one was cut", "[store][remote]") {
    const std::string content = make_content(2 * chunk, 24);
    const std::string longer = content + make_content(2 * chunk, 25);
    for (const bool swap : {true, false}) {
        std::vector<service_plan> plans{{.body = content, .cut_at = chunk + 1}, {.body = longer}};
        if (swap) std::swap(plans[0], plans[1]);
        remote_fixture f(plans);
        string_sink sink;
        // Without a size in the locator any size is plausible.
        const auto got = f.read(name_of(content).hex() + "+Rz0000-" + signature, sink);
        CHECK(!got.has_value());
        CHECK(f.reader->counters().bad_blocks.value() <= 1);
        // Never more than the response has announced.
        if (sink.announced == content.size()) CHECK(sink.text.size() <= chunk);
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

TEST_CASE("a remote block of any size needs one chunk of memory", "[store][remote]") {
    const std::string content = make_content(4 * chunk + 9, 16);
    // The second service has to prove that its bytes are those that the client has.
    for (const bool swap : {false, true}) {
        std::vector<service_plan> plans{{.body = content, .cut_at = 2 * chunk + 1}, {.body = content}};
        if (swap) std::swap(plans[0], plans[1]);
        remote_fixture f(plans, chunk);
        string_sink sink;
        CHECK(f.read(f.remote_name(content), sink).has_value());
        CHECK(sink.text == content);
    }
    remote_fixture f({{.body = content}}, chunk);
    CHECK(run(remote_fixture::copy_later(*f.reader, f.request(f.remote_name(content)))).has_value());
}

TEST_CASE("busy services are asked again in their order", "[store][remote]") {
    const std::string content = "in turn";
    remote_fixture f({{.body = content, .fails_first = 1}, {.body = content, .fails_first = 1}});
    string_sink sink;
    REQUIRE(f.read(f.remote_name(content), sink).has_value());
    // Which one is first depends on the name.
    const auto listed_first = [&](std::size_t i) { return f.services[i]->requests().size(); };
    CHECK(listed_first(0) + listed_first(1) == 3);
    CHECK(sink.text == content);
    string_sink again;
    const auto before = std::pair(listed_first(0), listed_first(1));
    REQUIRE(f.read(f.remote_name(content), again).has_value());
    // The one that served it is the one that comes first.
    CHECK(f.services[before.first == 2 ? 0 : 1]->requests().size() == 3);
}

TEST_CASE("neither services nor an API server with a bad certificate are asked again", "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    const auto own = serve_as(make_identity(nullptr, "IP:127.0.0.1"));
    script_server bad([](peer& p, int) { p.answer("foo"); }, own.get());
    const keep_service api(
        {.body = fmt::format(R"({{"items":[{{"uuid":"z0000-bi6l4-000000000000000","service_host":"127.0.0.1",)"
                             R"("service_port":{},"service_ssl_flag":true}}]}})",
                             bad.port())});
    const auto read = [&](const net::endpoint& list) {
        store::remote_reader reader({{.id = "z0000", .api = list, .client = &f.client}}, f.store);
        string_sink sink;
        const auto got = run(remote_fixture::read_later(reader, f.request(f.remote_name("foo")), sink));
        CHECK(sink.text.empty());
        return got ? errc::not_found : got.error().code;
    };
    CHECK(read(api.to()) == errc::unavailable);
    CHECK(bad.accepted() == 1);
    CHECK(read(bad.to()) == errc::unavailable);
    CHECK(bad.accepted() == 2);
}

TEST_CASE("a read of another cluster ends at its own deadline", "[store][remote]") {
    remote_fixture f({{.silent = true}, {.silent = true}});
    auto request = f.request(f.remote_name("foo"));
    request.until = deadline::in(300ms);
    string_sink sink;
    const auto began = std::chrono::steady_clock::now();
    const auto got = run(remote_fixture::read_later(*f.reader, request, sink));
    REQUIRE(!got.has_value());
    CHECK(got.error() == errc::timeout);
    CHECK(std::chrono::steady_clock::now() - began >= 300ms);
    CHECK(std::chrono::steady_clock::now() - began < limits::net_first_byte_timeout);
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
