/// An Azure volume on a service in memory (tests/azure/memory_service.hpp).
#pragma once

#include "base/base64.hpp"
#include "tests/azure/memory_service.hpp"
#include "tests/contract/volume_harness.hpp"
#include "volumes/azure/azure_volume.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace keepstore::test {

inline volumes::azure_options azure_stub_options(std::string url) {
    volumes::azure_options o;
    o.endpoint = std::move(url);
    o.account = std::string(azure_memory_service::account);
    o.container = std::string(azure_memory_service::container);
    const std::string key = "key of the account";
    o.account_key = cloud::secret_string(encode_base64(std::as_bytes(std::span(key))));
    o.loops = 2;
    o.list_retry_delay = std::chrono::milliseconds(20);
    o.write_race_interval = std::chrono::seconds(2);
    o.write_race_poll_time = std::chrono::milliseconds(20);
    return o;
}

inline std::unique_ptr<volumes::volume> open_azure(volumes::azure_options options) {
    auto opened = volumes::open_azure_volume(std::move(options));
    if (!opened) throw std::runtime_error(opened.error().text);
    return std::move(*opened);
}

class stub_container {
  public:
    explicit stub_container(const std::function<void(volumes::azure_options&)>& change = {})
        : options(azure_stub_options(service.url())) {
        if (change) change(options);
        volume = open_azure(options);
    }

    [[nodiscard]] std::unique_ptr<volumes::volume> open() const { return open_azure(options); }

    /// Ages a blob.
    void set_mtime(const md5_digest& name, volumes::block_time t) {
        service.set_modified(name.hex(), std::chrono::floor<std::chrono::seconds>(t));
    }

    azure_memory_service service;
    volumes::azure_options options;
    std::unique_ptr<volumes::volume> volume;  // First to go.
};

inline std::string text_of(const bytes& content) {
    return {reinterpret_cast<const char*>(content.data()), content.size()};
}

}  // namespace keepstore::test
