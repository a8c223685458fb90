// Each fault of the service with each operation: nothing is acknowledged that was not done, no fault looks like a
// missing block, faults that pass are not noticed, and everything works again afterwards.
#include "tests/volumes/azure/stub_container.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace keepstore::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using volumes::trash_outcome;
using fate = azure_memory_service::fate;

/// What the service does with a request.
struct fault {
    std::string what;
    std::function<fate(stub_reply&)> how;
};

fate with_reply(stub_reply& reply, stub_reply is) {
    reply = std::move(is);
    return fate::reply;
}

/// Faults after which another attempt may succeed.
std::vector<fault> passing_faults() {
    using service = azure_memory_service;
    return {
        {"reset", [](stub_reply& r) { return with_reply(r, {.hang_up = true}); }},
        {"lost answer", [](stub_reply&) { return fate::lose_answer; }},
        {"500", [](stub_reply& r) { return with_reply(r, service::failure(500, "InternalError")); }},
        {"operation timed out",
         [](stub_reply& r) { return with_reply(r, service::failure(500, "OperationTimedOut")); }},
        {"503", [](stub_reply& r) { return with_reply(r, service::failure(503, "ServerBusy")); }},
        {"429", [](stub_reply& r) { return with_reply(r, service::failure(429, "TooManyRequests")); }},
    };
}
/// Faults that last, and are none of the block.
std::vector<fault> lasting_faults() {
    using service = azure_memory_service;
    auto out = passing_faults();
    // Some throttle like others, which costs seconds each time.
    std::erase_if(out, [](const auto& f) {
        return f.what == "lost answer" || f.what == "429" || f.what == "operation timed out";
    });
    out.push_back(
        {"wrong key", [](stub_reply& r) { return with_reply(r, service::failure(403, "AuthenticationFailed")); }});
    out.push_back({"forbidden", [](stub_reply& r) {
                       return with_reply(r, service::failure(403, "AuthorizationPermissionMismatch"));
                   }});
    out.push_back(
        {"no container", [](stub_reply& r) { return with_reply(r, service::failure(404, "ContainerNotFound")); }});
    out.push_back({"container being deleted",
                   [](stub_reply& r) { return with_reply(r, service::failure(409, "ContainerBeingDeleted")); }});
    out.push_back({"a web page", [](stub_reply& r) {
                       return with_reply(r, {.body = "<html>hello</html>", .headers = {{"Content-Type", "text/html"}}});
                   }});
    out.push_back({"a web page that says 404",
                   [](stub_reply& r) { return with_reply(r, {.status = 404, .body = "<html>where?</html>"}); }});
    return out;
}

/// A volume with a block of each kind, and the operation under test.
struct subject {
    stub_container c;
    volumes::volume& v = *c.volume;
    bytes small = random_bytes(1000);
    bytes large = random_bytes(1 * MiB);
    bytes fresh = random_bytes(1 * MiB);
    bytes fresh_small = random_bytes(2000);
    bytes dead = random_bytes(3000);
    bytes due = random_bytes(4000);

    explicit subject(const std::function<void(volumes::azure_options&)>& change = {}) : c(change) {
        c.service.store(digest::md5_of(small).hex(), text_of(small), {}, hours(48));
        c.service.store(digest::md5_of(large).hex(), text_of(large), {}, hours(48));
        c.service.store(digest::md5_of(dead).hex(), text_of(dead), {{"expires_at", "99999999999"}}, hours(48));
        c.service.store(digest::md5_of(due).hex(), text_of(due), {{"expires_at", "1"}}, hours(48));
    }
    [[nodiscard]] bool has(const bytes& content) const {
        const auto blob = c.service.find(digest::md5_of(content).hex());
        return blob && blob->content == text_of(content);
    }
    [[nodiscard]] bool is_live(const bytes& content) const {
        const auto blob = c.service.find(digest::md5_of(content).hex());
        return blob && (!blob->metadata.contains("expires_at") || blob->metadata.at("expires_at").empty());
    }
    [[nodiscard]] bool is_fresh(const bytes& content) const {
        const auto blob = c.service.find(digest::md5_of(content).hex());
        return blob && std::chrono::system_clock::now() - blob->modified < minutes(1);
    }
};

/// Runs one operation; checks what a success claims. \returns its error.
struct operation {
    std::string what;
    std::function<std::optional<error>(subject&)> run_it;
    bool can_repeat = true;  ///< Else a request that was under way when its connection broke fails.
};

template <class T>
std::optional<error> error_of(const result<T>& outcome) {
    return outcome ? std::nullopt : std::optional(outcome.error());
}

std::vector<operation> operations() {
    return {
        {"PUT of a small block",
         [](subject& s) {
             const auto done = put(s.v, digest::md5_of(s.fresh_small), s.fresh_small);
             if (done) CHECK(s.has(s.fresh_small));
             return error_of(done);
         }},
        {"PUT of a small block that is there",
         [](subject& s) {
             const auto done = put(s.v, digest::md5_of(s.small), s.small);
             if (done) CHECK((s.is_fresh(s.small) && s.is_live(s.small)));
             return error_of(done);
         }},
        {"PUT of a large block",
         [](subject& s) {
             const auto done = put(s.v, digest::md5_of(s.fresh), s.fresh);
             if (done) CHECK(s.has(s.fresh));
             return error_of(done);
         },
         false},
        {"PUT of unknown length",
         [](subject& s) {
             const auto done = run(write_block(s.v, digest::md5_of(s.fresh), s.fresh, std::nullopt, 256 * KiB));
             if (done) CHECK(s.has(s.fresh));
             return error_of(done);
         }},
        {"GET",
         [](subject& s) {
             const auto got = get(s.v, digest::md5_of(s.large));
             if (got) CHECK(*got == s.large);
             return error_of(got);
         }},
        {"mtime", [](subject& s) { return error_of(run(s.v.mtime(digest::md5_of(s.small), soon()))); }},
        {"touch",
         [](subject& s) {
             const auto done = run(s.v.touch(digest::md5_of(s.small), soon()));
             if (done) CHECK(s.is_fresh(s.small));
             return error_of(done);
         }},
        {"trash",
         [](subject& s) {
             const auto done =
                 run(s.v.trash(digest::md5_of(s.small),
                               {.protect_for = hours(1), .lifetime = hours(1), .only_if_mtime = {}}, soon()));
             if (done) CHECK((*done == trash_outcome::trashed) == !s.is_live(s.small));
             CHECK(s.has(s.small));
             return error_of(done);
         }},
        {"trash for good",
         [](subject& s) {
             const auto done =
                 run(s.v.trash(digest::md5_of(s.small),
                               {.protect_for = hours(1), .lifetime = hours(0), .only_if_mtime = {}}, soon()));
             if (done) CHECK((*done == trash_outcome::trashed) == !s.has(s.small));
             return error_of(done);
         }},
        {"untrash",
         [](subject& s) {
             const auto done = run(s.v.untrash(digest::md5_of(s.dead), soon()));
             if (done) CHECK(s.is_live(s.dead));
             return error_of(done);
         }},
        {"index",
         [](subject& s) {
             const auto names = index_names(s.v);
             if (names) CHECK(names->size() >= 2);
             return error_of(names);
         }},
        {"emptying trash",
         [](subject& s) {
             const auto done = run(s.v.empty_trash(2, soon()));
             CHECK(s.has(s.dead));
             if (done && done->blocks_deleted == 1) CHECK_FALSE(s.has(s.due));
             return error_of(done);
         }},
    };
}

bool works_again(subject& s, const operation& op) {
    const auto until = soon();
    while (op.run_it(s)) {
        if (until.passed()) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return true;
}

}  // namespace

TEST_CASE("a fault that passes is not noticed", "[volumes][azure][faults]") {
    for (const auto& op : operations()) {
        for (const auto& f : passing_faults()) {
            CAPTURE(op.what, f.what);
            subject s;
            // Of each kind of request, the first one; not of the probes, which are lists.
            s.c.service.set_hook([&f, met = std::map<std::string, bool>()](
                                     const std::string& kind, const seen_request& r, stub_reply& reply) mutable {
                const bool probe = r.target.find("maxresults=1&") != std::string::npos;
                if (probe || std::exchange(met[kind], true)) return fate::serve;
                return f.how(reply);
            });
            const auto failed = op.run_it(s);
            // Bytes that were sent are not kept: such a PUT is the client's to repeat.
            const bool may_fail = !op.can_repeat;
            if (may_fail) {
                if (failed) CHECK(*failed != errc::not_found);
            } else {
                INFO((failed ? failed->text : ""));
                CHECK_FALSE(failed.has_value());
            }
        }
    }
}

TEST_CASE("a fault that lasts is an error and no missing block, and its end is noticed", "[volumes][azure][faults]") {
    for (const auto& f : lasting_faults()) {
        for (const auto& op : operations()) {
            CAPTURE(op.what, f.what);
            subject s;
            s.c.service.set_hook(
                [&f](const std::string&, const seen_request&, stub_reply& reply) { return f.how(reply); });
            const auto failed = op.run_it(s);
            REQUIRE(failed.has_value());
            CHECK(*failed != errc::not_found);
            s.c.service.set_hook({});
            CHECK(works_again(s, op));
        }
    }
}

TEST_CASE("a service that stays silent is an error and no missing block, and its end is noticed",
          "[volumes][azure][faults]") {
    for (const auto& op : operations()) {
        CAPTURE(op.what);
        subject s([](auto& o) { o.request_timeout = std::chrono::milliseconds(200); });
        s.c.service.set_hook([](const std::string&, const seen_request&, stub_reply& reply) {
            return with_reply(reply, {.silent = true});
        });
        const auto failed = op.run_it(s);
        REQUIRE(failed.has_value());
        CHECK(*failed != errc::not_found);
        s.c.service.set_hook({});
        CHECK(works_again(s, op));
    }
}

TEST_CASE("a body that ends early is no block", "[volumes][azure][faults]") {
    subject s;
    const auto name = digest::md5_of(s.large);
    bool lasts = false;
    s.c.service.set_hook([&, cut = 0](const std::string& kind, const seen_request& r, stub_reply& reply) mutable {
        if (kind != "get" || (!lasts && cut++ > 0)) return fate::serve;
        const auto blob = s.c.service.find(name.hex());
        const auto range = r.header("range") + r.header("x-ms-range");
        if (!range.empty()) return with_reply(reply, {.hang_up = true});
        reply = {.body = blob->content, .headers = {{"ETag", "\"" + blob->etag + "\""}}, .cut_after = 300'000};
        reply.headers.emplace_back("Last-Modified", cloud::format_http_date(blob->modified));
        reply.headers.emplace_back("x-ms-request-id", "rq1");
        return fate::reply;
    });
    CHECK(get(s.v, name).value() == s.large);
    lasts = true;
    const auto got = get(s.v, name);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error() == errc::unavailable);
}

TEST_CASE("a listing that breaks off is an error", "[volumes][azure][faults]") {
    stub_container c([](auto& o) { o.list_keys_max = 2; });
    for (int i = 0; i < 10; ++i) c.service.store(random_name("a").hex(), "x");
    REQUIRE(index_names(*c.volume).value().size() == 10);
    c.service.set_hook([](const std::string& kind, const seen_request& r, stub_reply& reply) {
        const bool later = kind == "list" && r.target.find("marker=") != std::string::npos;
        if (!later) return fate::serve;
        return with_reply(reply, {.body = "<EnumerationResults><Blobs>", .headers = {{"x-ms-request-id", "r"}}});
    });
    CHECK_FALSE(index_names(*c.volume).has_value());
}

}  // namespace keepstore::test
