#include "base/counter.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <thread>
#include <vector>

using namespace keepstore;

namespace {

struct cache_counters : counter_set {
    counter hits{*this, "cache_lookups_total", "Lookups, by outcome.", {"outcome", "hit"}};
    counter misses{*this, "cache_lookups_total", "Lookups, by outcome.", {"outcome", "miss"}};
    counter open;
    counter evictions{*this, "cache_evictions_total", "Entries dropped for want of room."};
};

}  // namespace

TEST_CASE("a set lists its named counters in order of declaration", "[base][counter]") {
    cache_counters counters;
    counters.hits.add();
    counters.misses.add(41);
    counters.misses.add();
    counters.open.add(5);
    counters.open.sub(2);
    CHECK(counters.open.value() == 3);
    std::vector<std::string> seen;
    counters.for_each([&](const counter& c) {
        seen.push_back(std::string(c.name()) + " " + std::string(c.get_label().name) + "=" +
                       std::string(c.get_label().value) + " " + std::string(c.help()) + " " +
                       std::to_string(c.value()));
    });
    CHECK(seen == std::vector<std::string>{"cache_lookups_total outcome=hit Lookups, by outcome. 1",
                                           "cache_lookups_total outcome=miss Lookups, by outcome. 42",
                                           "cache_evictions_total = Entries dropped for want of room. 0"});
}

TEST_CASE("counters lose no count of several threads", "[base][counter]") {
    cache_counters counters;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                for (int n = 0; n < 10'000; ++n) counters.hits.add();
            });
    }
    CHECK(counters.hits.value() == 40'000);
}
