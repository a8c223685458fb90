/// Shared by tests of the store: bodies and responses in memory, and a block store over volumes in memory that fail on
/// demand.
#pragma once

#include "base/limits.hpp"
#include "digest/md5.hpp"
#include "store/block_store.hpp"
#include "tests/support/fault_volume.hpp"
#include "tests/support/memory_volume.hpp"
#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace keepstore::test {

inline constexpr std::size_t chunk = limits::chunk_size_bytes;

class string_source final : public byte_source {
  public:
    explicit string_source(std::string text, bool announce = true) : text_(std::move(text)), announce_(announce) {}
    std::size_t fail_at = std::string::npos;  ///< The client disconnects when this much was read.
    std::size_t step = 100'000;

    std::optional<std::uint64_t> size() const noexcept override {
        return announce_ ? std::optional<std::uint64_t>(text_.size()) : std::nullopt;
    }
    awaitable<result<void>> wait_ready() override { co_return result<void>{}; }
    awaitable<result<std::size_t>> read_some(std::span<std::byte> into) override {
        if (at_ >= fail_at) co_return fail(errc::cancelled);
        const std::size_t count = std::min({into.size(), text_.size() - at_, step});
        std::memcpy(into.data(), text_.data() + at_, count);
        at_ += count;
        co_return count;
    }

  private:
    std::string text_;
    bool announce_;
    std::size_t at_ = 0;
};

class string_sink final : public byte_sink {
  public:
    std::optional<std::uint64_t> announced;
    std::string text;
    std::size_t fail_at = std::string::npos;

    /// A slow reader: takes at most this much of each write_some().
    std::size_t takes_at_once = std::string::npos;
    std::optional<byte_range> body;
    std::size_t largest_piece = 0;
    std::function<void()> after_write;

    awaitable<result<void>> begin(std::uint64_t size, byte_range b) override {
        announced = size;
        body = b;
        co_return result<void>{};
    }
    awaitable<result<void>> wait_ready() override { co_return result<void>{}; }
    awaitable<result<std::size_t>> write_some(const_slice bytes, when_full) override {
        const std::size_t count = std::min(bytes.size(), takes_at_once);
        largest_piece = std::max(largest_piece, bytes.size());
        const auto written = co_await write(bytes.subslice(0, count));
        if (!written) co_return std::unexpected(written.error());
        if (after_write) after_write();
        co_return count;
    }
    awaitable<result<void>> write(const_slice bytes) override {
        if (text.size() >= fail_at) co_return fail(errc::cancelled);
        text.append(reinterpret_cast<const char*>(bytes.bytes.data()), bytes.size());
        co_return result<void>{};
    }
};

inline std::string make_content(std::size_t size, unsigned seed = 1) {
    std::string out(size, '\0');
    std::uint64_t x = seed * 0x9e3779b97f4a7c15ull + 1;
    for (char& c : out) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        c = static_cast<char>(x);
    }
    return out;
}

inline md5_digest name_of(const std::string& content) {
    return digest::md5_of(std::as_bytes(std::span(content)));
}

inline std::string flipped(std::string content, std::size_t at) {
    content[at] = static_cast<char>(content[at] ^ 0x10);
    return content;
}

struct fixture {
    /// Bodies of more than one chunk are not kept in memory, so that every replacement has to copy.
    explicit fixture(std::vector<std::vector<std::string>> classes = {{"default"}, {"default"}},
                     std::size_t budget = 64 * MiB, std::size_t kept_bodies_bytes = 0)
        : pool(budget),
          store({.blob_signing = false,
                 .blob_signing_key = "",
                 .protect_for = std::chrono::hours(1),
                 .blob_trash = true,
                 .trash_lifetime = std::chrono::hours(1),
                 .kept_bodies_bytes = kept_bodies_bytes},
                store::mount_table(make_mounts(classes)), pool, engine) {}
    // A chunk that is being hashed when its request ends returns to the pool a moment later.
    ~fixture() {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(40);
        while (pool.snapshot().in_use_bytes != 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
        CHECK(pool.snapshot().in_use_bytes == 0);
    }

    std::vector<store::mount> make_mounts(const std::vector<std::vector<std::string>>& classes) {
        std::vector<store::mount> out;
        for (std::size_t i = 0; i < classes.size(); ++i) {
            memory.push_back(std::make_shared<memory_volume>("device" + std::to_string(i)));
            faulty.push_back(std::make_shared<fault_volume>(memory.back()));
            store::mount m;
            m.uuid = "zzzzz-nyw5e-00000000000000" + std::to_string(i);
            m.volume = faulty.back();
            m.allow_write = m.allow_trash = true;
            for (const auto& c : classes[i]) m.storage_classes[c] = true;
            m.priority = static_cast<int>(classes.size() - i);  // The order is the mounts' own, whatever the hash.
            out.push_back(std::move(m));
        }
        return out;
    }

    result<store::block_write_response> put(string_source source, const md5_digest& name,
                                            std::vector<std::string> classes = {}) {
        const store::block_write_request request{.hash = name,
                                                 .path_text = name.hex(),
                                                 .storage_classes = std::move(classes),
                                                 .token = "",
                                                 .until = deadline::in(std::chrono::seconds(60))};
        return run(put_later(store, request, source));
    }
    result<store::block_write_response> put(const std::string& content, std::vector<std::string> classes = {}) {
        return put(string_source(content), name_of(content), std::move(classes));
    }
    static awaitable<result<store::block_write_response>> put_later(store::block_store& s,
                                                                    const store::block_write_request& request,
                                                                    string_source& source) {
        co_return co_await s.block_write(request, source);
    }

    result<std::uint64_t> get(const md5_digest& name, std::uint64_t size, byte_sink& sink, bool head = false,
                              std::optional<byte_range_spec> range = {}) {
        const auto block = protocol::locator::parse(name.hex() + "+" + std::to_string(size));
        const store::block_read_request request{.block = *block,
                                                .token = "",
                                                .has_token = false,
                                                .until = deadline::in(std::chrono::seconds(60)),
                                                .head = head,
                                                .range = range};
        return run(get_later(store, request, sink));
    }
    static awaitable<result<std::uint64_t>> get_later(store::block_store& s, const store::block_read_request& request,
                                                      byte_sink& sink) {
        co_return co_await s.block_read(request, sink);
    }

    pool::buffer_pool pool;
    digest::engine engine{2};
    std::vector<std::shared_ptr<memory_volume>> memory;
    std::vector<std::shared_ptr<fault_volume>> faulty;
    store::block_store store;
};

// Reads until it succeeds or not; a read that looks complete must be right.
inline bool reads_right(fixture& f, const std::string& content, bool* complete = nullptr) {
    string_sink sink;
    const auto size = f.get(name_of(content), content.size(), sink);
    if (complete) *complete = size.has_value();
    if (size) return sink.text == content && sink.announced == content.size();
    return sink.text.size() < content.size();  // Cut short: the client notices.
}

}  // namespace keepstore::test
