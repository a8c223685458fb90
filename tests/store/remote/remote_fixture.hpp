/// A store that reads from a remote cluster, which scripted servers play.
#pragma once

#include "protocol/limits.hpp"
#include "store/remote/remote_reader.hpp"
#include "tests/store/remote/fetch_fixture.hpp"

#include <fmt/format.h>

namespace keepstore::test {

using namespace std::chrono_literals;

inline const std::string token = "v2/zzzzz-gj3su-077z32aux8dg2s1/3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi";
inline const std::string salted = "v2/zzzzz-gj3su-077z32aux8dg2s1/cc6a529e5f8f26732d000ecb9f4fc803d7e6a6eb";
inline const std::string signature = "0123456789012345678901234567890123456789@7fffffff";

inline std::string listed(const std::vector<std::uint16_t>& ports) {
    std::string items;
    for (std::size_t i = 0; i < ports.size(); ++i) {
        items += fmt::format(R"({}{{"uuid":"z0000-bi6l4-{:015x}","service_host":"127.0.0.1","service_port":{},)"
                             R"("service_ssl_flag":false,"service_type":"disk","read_only":false}})",
                             i ? "," : "", i, ports[i]);
    }
    return "{\"items\":[" + items + "],\"items_available\":" + std::to_string(ports.size()) + "}";
}

struct remote_fixture : fixture {
    explicit remote_fixture(std::vector<service_plan> plans, std::size_t budget = 64 * MiB)
        : fixture({{"default"}, {"default"}}, budget) {
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

}  // namespace keepstore::test
