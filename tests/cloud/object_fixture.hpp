/// What tests of the clients of S3 and Azure do with bodies and errors.
#pragma once

#include "base/deadline.hpp"
#include "cloud/download.hpp"
#include "cloud/error.hpp"
#include "cloud/object.hpp"
#include "tests/net/client/script_server.hpp"
#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::test {

/// Reads the whole body of a download, in small reads.
inline awaitable<result<std::string>> read_all(cloud::object_download download) {
    std::string out;
    std::byte buffer[1000];
    for (;;) {
        const auto got = co_await download.read_some(buffer);
        if (!got) co_return std::unexpected(got.error());
        if (*got == 0) break;
        out.append(reinterpret_cast<const char*>(buffer), *got);
    }
    co_return out;
}

template <class Client>
awaitable<result<std::string>> get_text(const Client& client, std::string key, cloud::get_options options = {}) {
    auto download = co_await client.get(std::move(key), std::move(options), soon());
    if (!download) co_return std::unexpected(download.error());
    co_return co_await read_all(std::move(*download));
}

/// What a download tells before its body is read.
struct begun_download {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    cloud::object_info info;
};

template <class Client>
awaitable<result<begun_download>> begin_get(const Client& client, std::string key, cloud::get_options options) {
    const auto download = co_await client.get(std::move(key), std::move(options), soon());
    if (!download) co_return std::unexpected(download.error());
    co_return begun_download{download->offset(), download->length(), download->info()};
}

inline cloud::upload_body text_body(std::string_view text) {
    cloud::upload_body out;
    if (!text.empty()) out.slices.push_back(slice_of(text));
    return out;
}

template <class T>
cloud::error_kind kind(const result<T>& r) {
    return r ? cloud::error_kind{} : cloud::kind_of(r.error());
}

}  // namespace keepstore::test
