/// A worker of pull lists on volumes in memory; see fetch_fixture.hpp for the servers.
#pragma once

#include "store/lists/pull_worker.hpp"
#include "tests/store/remote/fetch_fixture.hpp"

namespace keepstore::test {

using namespace std::chrono_literals;

/// Short for a server that is silent, long enough for one that responds on a busy machine.
inline constexpr net::phase_limits short_timeouts{.connect = 1000ms, .first_byte = 800ms, .progress = 800ms};

struct pull_fixture : fixture {
    explicit pull_fixture(store::pull_options options = {.timing = short_timeouts})
        : worker(store.context(), client, std::move(options)) {}
    ~pull_fixture() {
        // A piece that is being hashed when its pull ends is given back a moment later.
        const auto limit = std::chrono::steady_clock::now() + 40s;
        while (worker.memory().in_use_bytes != 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
        CHECK(worker.memory().in_use_bytes == 0);
    }

    static awaitable<void> execute(store::pull_worker& w, protocol::pull_item item) {
        co_await w.execute(std::move(item));
    }
    void pull(const std::string& content, std::vector<std::string> servers, std::string mount = "") {
        pull_named(name_of(content), content.size(), std::move(servers), std::move(mount));
    }
    void pull_named(const md5_digest& name, std::size_t size, std::vector<std::string> servers,
                    std::string mount = "") {
        protocol::pull_item item{.locator = name.hex() + "+" + std::to_string(size),
                                 .servers = std::move(servers),
                                 .mount_uuid = std::move(mount)};
        run(execute(worker, std::move(item)));
    }
    /// What a mount's volume has under the name, read without the core.
    std::optional<std::string> stored(std::size_t mount, const md5_digest& name) {
        return run(read(*memory[mount], name));
    }
    static awaitable<std::optional<std::string>> read(memory_volume& v, md5_digest name) {
        auto copy = co_await v.open(name, deadline::in(40s));
        if (!copy) co_return std::nullopt;
        auto into = make_heap_slice(static_cast<std::size_t>((*copy)->size()));
        auto count = co_await (*copy)->read_at(0, into, deadline::in(40s));
        if (!count) co_return std::nullopt;
        co_return std::string(reinterpret_cast<const char*>(into.bytes.data()), *count);
    }
    [[nodiscard]] std::string uuid(std::size_t mount) const { return store.mounts().all()[mount].uuid; }

    net::client client = make_client({.refuse_link_local = true});
    store::pull_worker worker;
};

}  // namespace keepstore::test
