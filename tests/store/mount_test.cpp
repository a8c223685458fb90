/// The order of mounts and the choice of those that take a block: pure functions.

#include "store/mount.hpp"
#include "store/write/put_plan.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::store;

namespace {

mount make_mount(std::string uuid, int priority = 0, bool writable = true,
                 std::vector<std::string> classes = {"default"}, int replication = 1) {
    mount m;
    m.uuid = std::move(uuid);
    m.priority = priority;
    m.allow_write = writable;
    m.replication = replication;
    for (auto& c : classes) m.storage_classes[c] = true;
    return m;
}

}  // namespace

// The weights are those of docs/interface.md 3.4's reference table (block n = md5 of n as 64 hex digits), which lists
// services in descending order; volumes are used in ascending order.
TEST_CASE("mounts are ordered by descending priority, then ascending rendezvous weight", "[store][mount]") {
    std::vector<mount> mounts;
    const std::string digits = "0123456789abcdef";
    for (const char d : digits) mounts.push_back(make_mount(std::string("zzzzz-bi6l4-00000000000000") + d));
    const auto order = [](const mount_table& table, const char* block) {
        std::string out;
        for (const mount* m : table.in_read_order(*md5_digest::parse(block))) out += m->uuid.back();
        return out;
    };
    const mount_table table(mounts);
    CHECK(order(table, "10eab6008d5642cf42abd2aa41f847cb") == "4701869cf5d2bae3");
    CHECK(order(table, "9a25b027482b37e047104e2e532cabae") == "3c1f846e25abd790");
    CHECK(order(table, "ece15765f11abfb7d3c71995a3d63bfe") == "196d7a8f320e4b5c");

    mounts[6].priority = 5;  // "6" goes to the front whatever its weight.
    CHECK(order(mount_table(mounts), "10eab6008d5642cf42abd2aa41f847cb") == "6470189cf5d2bae3");
}

TEST_CASE("only writable mounts are candidates for a PUT", "[store][mount]") {
    const mount_table table({make_mount("a"), make_mount("b", 0, false), make_mount("c")});
    CHECK(table.in_write_order(md5_of_nothing).size() == 2);
    CHECK(table.in_read_order(md5_of_nothing).size() == 3);
    CHECK(table.find("b") != nullptr);
    CHECK(table.find("x") == nullptr);
}

TEST_CASE("a put plan is greedy over the requested classes", "[store][put_plan]") {
    const mount m1 = make_mount("m1", 0, true, {"class1"});
    const mount m12 = make_mount("m12", 0, true, {"class1", "class2"});
    const mount m2 = make_mount("m2", 0, true, {"class2"}, 2);
    const auto used = [&](std::vector<std::string> classes) {
        put_plan plan(classes);
        std::string out;
        for (const mount* m : {&m1, &m12, &m2}) {
            if (!plan.wants(*m)) continue;
            plan.add(*m);
            out += m->uuid + " ";
        }
        return out;
    };
    CHECK(used({"class1", "class2"}) == "m1 m12 ");  // Greedy, not minimal (docs/interface.md 8.2).
    CHECK(used({"class2"}) == "m12 ");
    CHECK(used({"class2", "class2"}) == "m12 ");
    CHECK(used({}) == "m1 ");
    CHECK(used({"class404"}).empty());
    CHECK(used({"class404", "class2"}) == "m12 ");

    put_plan plan(std::vector<std::string>{"class2"});
    plan.add(m2);
    CHECK(plan.done());
    CHECK(plan.replicas() == 2);
    CHECK(plan.classes() == std::map<std::string, int>{{"class2", 2}});
}
