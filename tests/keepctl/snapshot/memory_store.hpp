/// A repository's files in memory, with faults, and a place that lists what a test says.
#pragma once

#include "keepctl/cluster/block_place.hpp"
#include "keepctl/snapshot/object_store.hpp"
#include "keepctl/snapshot/repository.hpp"
#include "tests/support/run.hpp"

#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::keepctl::test {

template <class T>
awaitable<bool> put_into(awaitable<T> work, std::optional<T>& out) {
    out.emplace(co_await std::move(work));
    co_return true;
}
/// Runs it; its value need not have a default.
template <class T>
T run_to_value(awaitable<T> work) {
    std::optional<T> out;
    keepstore::test::run(put_into(std::move(work), out));
    return std::move(*out);
}

class memory_store final : public object_store {
  public:
    struct file {
        std::string text;
        std::uint64_t version = 0;
        std::chrono::sys_seconds written_at;
    };
    /// What happens to a swap, instead of the right thing.
    enum class fault {
        none,
        lost_answer,  ///< It takes effect, and its response is lost.
        no_effect,    ///< The service fails before it.
        lost,         ///< "Another version is there", although the right one is.
        refused,      ///< An error after which nothing has changed.
    };

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] awaitable<result<void>> prove_swap(deadline) override { co_return success(); }
    [[nodiscard]] awaitable<result<stored_text>> read(std::string key, std::size_t limit, deadline) override {
        ++reads[key];
        if (read_fails && read_fails(key)) co_return fail(errc::unavailable, "away");
        const auto found = files.find(key);
        if (found == files.end()) co_return fail(errc::not_found);
        if (found->second.text.size() > limit) co_return fail(errc::too_large);
        co_return stored_text{.text = found->second.text, .version = std::to_string(found->second.version)};
    }
    [[nodiscard]] awaitable<result<void>> read_into(std::string key, std::shared_ptr<inventory_buffer> into,
                                                    deadline) override {
        ++reads[key];
        const auto found = files.find(key);
        if (found == files.end()) co_return fail(errc::not_found);
        const auto& text = found->second.text;
        if (text.size() != into->bytes().size()) co_return fail(errc::checksum_mismatch, "another size");
        std::memcpy(into->bytes().data(), text.data(), text.size());
        co_return success();
    }
    [[nodiscard]] awaitable<result<void>> write(std::string key, std::shared_ptr<const object_bytes> bytes,
                                                deadline) override {
        if (write_fails && write_fails(key)) co_return fail(errc::no_space, "full");
        std::string text(bytes->size(), 0);
        bytes->copy(0, std::as_writable_bytes(std::span(text)));
        put(key, std::move(text));
        co_return success();
    }
    [[nodiscard]] awaitable<result<swap_end>> swap(std::string key, std::string text,
                                                   std::optional<std::string> version, deadline) override {
        ++swaps;
        if (before_swap) std::exchange(before_swap, {})();
        auto what = fault::none;
        if (!faults.empty()) {
            what = faults.front();
            if (faults.size() > 1 || !last_fault_stays) faults.pop_front();
        }
        if (what == fault::no_effect) co_return swap_end::unknown;
        if (what == fault::lost) co_return swap_end::lost;
        if (what == fault::refused) co_return fail(errc::forbidden, "not allowed");
        const auto found = files.find(key);
        const auto now = found == files.end() ? std::nullopt : std::optional(std::to_string(found->second.version));
        if (now != version) co_return swap_end::lost;
        put(key, std::move(text));
        co_return what == fault::lost_answer ? swap_end::unknown : swap_end::done;
    }
    [[nodiscard]] awaitable<result<std::vector<stored_object>>> list(std::string prefix, deadline) override {
        std::vector<stored_object> out;
        for (const auto& [key, f] : files) {
            if (key.starts_with(prefix))
                out.push_back({.key = key, .bytes = f.text.size(), .written_at = f.written_at});
        }
        co_return out;
    }
    [[nodiscard]] awaitable<result<void>> remove(std::string key, deadline) override {
        removed.push_back(key);
        if (remove_fails && remove_fails(key)) co_return fail(errc::unavailable, "away");
        files.erase(key);
        co_return success();
    }
    [[nodiscard]] awaitable<result<std::chrono::sys_seconds>> now(deadline) override { co_return clock; }
    [[nodiscard]] awaitable<result<void>> remove_unfinished(std::chrono::sys_seconds before, deadline) override {
        unfinished_before = before;
        co_return success();
    }

    void put(const std::string& key, std::string text) {
        files[key] = {.text = std::move(text), .version = ++versions_, .written_at = clock};
    }
    [[nodiscard]] latest_document latest() const { return *decode_latest(files.at(std::string(latest_key)).text); }
    /// The names of the objects of a snapshot.
    [[nodiscard]] std::vector<std::string> objects_of(const snapshot_id& id) const {
        std::vector<std::string> out;
        for (const auto& [key, f] : files) {
            if (key.starts_with(id.folder())) out.push_back(key.substr(id.folder().size()));
        }
        return out;
    }

    std::map<std::string, file> files;
    std::map<std::string, unsigned> reads;
    std::vector<std::string> removed;
    std::deque<fault> faults;  ///< Of the next swaps.
    bool last_fault_stays = false;
    std::function<void()> before_swap;  ///< Once: what another process does meanwhile.
    std::function<bool(const std::string&)> read_fails, write_fails, remove_fails;
    std::chrono::sys_seconds clock{std::chrono::seconds(1'800'000'000)};
    std::optional<std::chrono::sys_seconds> unfinished_before;
    unsigned swaps = 0;

  private:
    const std::string name_ = "memory";
    std::uint64_t versions_ = 0;
};

/// A volume with these entries, which refer to its mounts.
class listed_place final : public block_place {
  public:
    explicit listed_place(std::size_t mounts = 1) {
        for (std::size_t i = 0; i < mounts; ++i)
            mounts_.push_back({.uuid = "m" + std::to_string(i), .device_id = "d" + std::to_string(i), .server = {}});
    }

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] awaitable<result<void>> connect(deadline) override { co_return success(); }
    [[nodiscard]] const std::vector<mount_info>& mounts() const noexcept override { return mounts_; }
    [[nodiscard]] awaitable<result<void>> list(std::string prefix, std::vector<entry>& out, listing_notes&,
                                               deadline) override {
        ++listings;
        if (list_fails && list_fails(prefix)) co_return fail(errc::forbidden, "refused");
        for (const auto& e : entries) {
            if (e.block.hex().starts_with(prefix)) out.push_back(e);
        }
        co_return success();
    }
    [[nodiscard]] const std::vector<std::string>& server_names() const noexcept override { return names_; }
    [[nodiscard]] awaitable<result<void>> check(deadline) const override { co_return success(); }
    [[nodiscard]] std::vector<std::uint16_t> sources(const md5_digest&) const override { return {0}; }
    [[nodiscard]] awaitable<result<std::unique_ptr<protocol::block_source>>> open(block_id, std::size_t,
                                                                                  deadline) override {
        co_return fail(errc::not_found);
    }
    [[nodiscard]] awaitable<result<void>> verify(block_id block, std::size_t, deadline) override {
        verified.push_back(block.name);
        if (verify_failures_max > 0) {
            --verify_failures_max;
            co_return fail(errc::unavailable, "away");
        }
        if (!back.contains(block.name)) co_return fail(errc::not_found, "no such block");
        if (bad.contains(block.name)) co_return fail(errc::checksum_mismatch, "it is bad");
        co_return success();
    }
    [[nodiscard]] awaitable<result<bool>> untrash(md5_digest block, deadline) override {
        untrashed.push_back(block);
        if (untrash_fails && untrash_failures_max > 0) {
            --untrash_failures_max;
            if (response_is_lost && in_trash.erase(block) > 0) back.insert(block);
            co_return fail(*untrash_fails, "away");
        }
        if (in_trash.erase(block) == 0) co_return false;
        back.insert(block);
        co_return true;
    }
    [[nodiscard]] std::int64_t replicas_wanted() const noexcept override { return 1; }
    [[nodiscard]] std::int64_t replicas_possible() const noexcept override { return 1; }
    [[nodiscard]] store_plan plan(const md5_digest&, std::span<const entry> good) const override {
        return good.empty() ? store_plan{.missing = 1, .servers = {{.server = 0}}} : store_plan{};
    }
    [[nodiscard]] awaitable<result<std::int64_t>> store(block_id, std::size_t, protocol::block_stream&,
                                                        deadline) override {
        co_return fail(errc::unavailable);
    }

    std::vector<mount_info>& all_mounts() noexcept { return mounts_; }

    std::vector<entry> entries;
    std::function<bool(const std::string&)> list_fails;
    std::set<md5_digest> in_trash;
    std::set<md5_digest> bad;   ///< Of those that come out of it.
    std::set<md5_digest> back;  ///< Those that have come out of it.
    std::vector<md5_digest> untrashed;
    std::vector<md5_digest> verified;
    std::optional<errc> untrash_fails;
    std::size_t untrash_failures_max = ~std::size_t{0};
    bool response_is_lost = false;  ///< An untrash that fails has taken effect.
    std::size_t verify_failures_max = 0;
    unsigned listings = 0;

  private:
    const std::string name_ = "place";
    std::vector<std::string> names_{"place"};
    std::vector<mount_info> mounts_;
};

}  // namespace keepstore::keepctl::test
