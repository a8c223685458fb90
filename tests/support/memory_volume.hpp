/// A volume in memory, for tests of the layers above volumes. Safe to use from any thread. The pristine behaviour and
/// the faults are apart: faults are switched on by the test and affect all calls from then on.
#pragma once

#include "volumes/volume.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::test {

class memory_volume final : public volumes::volume {
  public:
    explicit memory_volume(std::string device_id) : device_id_(std::move(device_id)) {}

    // --- what a test does without the daemon's knowledge ---------------------------------------------------------
    /// Puts any bytes under any name.
    void plant(const md5_digest& name, std::string content, volumes::block_time mtime = now()) {
        const std::lock_guard lock(mutex_);
        blocks_[name] = {std::make_shared<const std::string>(std::move(content)), mtime};
    }
    [[nodiscard]] std::optional<std::string> content(const md5_digest& name) const {
        const std::lock_guard lock(mutex_);
        const auto found = blocks_.find(name);
        if (found == blocks_.end()) return std::nullopt;
        return *found->second.content;
    }
    /// Replaces stored bytes: corruption. The attributes of the block stay.
    void rot(const md5_digest& name, std::string content) {
        const std::lock_guard lock(mutex_);
        auto& block = blocks_.at(name);
        block.content = std::make_shared<const std::string>(std::move(content));
    }
    /// Whether blocks have attributes; a volume without is the default.
    void keep_attributes(bool yes) {
        const std::lock_guard lock(mutex_);
        keep_attributes_ = yes;
    }
    [[nodiscard]] std::optional<std::vector<std::byte>> attribute(const md5_digest& name,
                                                                  const std::string& key) const {
        const std::lock_guard lock(mutex_);
        const auto found = blocks_.find(name);
        if (found == blocks_.end()) return std::nullopt;
        const auto value = found->second.attributes->find(key);
        if (value == found->second.attributes->end()) return std::nullopt;
        return value->second;
    }
    void set_attribute(const md5_digest& name, const std::string& key, std::optional<std::vector<std::byte>> value) {
        const std::lock_guard lock(mutex_);
        auto& attributes = *blocks_.at(name).attributes;
        attributes.erase(key);
        if (value) attributes.emplace(key, std::move(*value));
    }
    /// Every call fails with this from now on; nullopt: works again.
    void fail_everything(std::optional<error> e) {
        const std::lock_guard lock(mutex_);
        fault_ = std::move(e);
    }
    /// The index fails with this after its first batch.
    void fail_index_after_first_batch(std::optional<error> e) {
        const std::lock_guard lock(mutex_);
        index_fault_ = std::move(e);
    }
    [[nodiscard]] static volumes::block_time now() {
        return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
    }

    // --- volume -------------------------------------------------------------------------------------------------
    const std::string& device_id() const noexcept override { return device_id_; }

    awaitable<result<std::unique_ptr<volumes::block_reader>>> open(md5_digest name, deadline) override {
        const std::lock_guard lock(mutex_);
        ++stats_.operations["open"];
        if (fault_) co_return std::unexpected(*fault_);
        const auto found = blocks_.find(name);
        if (found == blocks_.end()) co_return fail(errc::not_found);
        co_return std::make_unique<reader>(*this, found->second);
    }

    awaitable<result<std::unique_ptr<volumes::block_writer>>> create(md5_digest name, std::optional<std::uint64_t>,
                                                                     deadline) override {
        const std::lock_guard lock(mutex_);
        ++stats_.operations["create"];
        if (fault_) co_return std::unexpected(*fault_);
        co_return std::make_unique<writer>(*this, name);
    }

    awaitable<result<void>> touch(md5_digest name, deadline) override {
        const std::lock_guard lock(mutex_);
        if (fault_) co_return std::unexpected(*fault_);
        const auto found = blocks_.find(name);
        if (found == blocks_.end()) co_return fail(errc::not_found);
        found->second.mtime = now();
        co_return success();
    }

    awaitable<result<volumes::block_time>> mtime(md5_digest name, deadline) override {
        const std::lock_guard lock(mutex_);
        if (fault_) co_return std::unexpected(*fault_);
        const auto found = blocks_.find(name);
        if (found == blocks_.end()) co_return fail(errc::not_found);
        co_return found->second.mtime;
    }

    awaitable<result<volumes::trash_outcome>> trash(md5_digest name, volumes::trash_options o, deadline) override {
        const std::lock_guard lock(mutex_);
        if (fault_) co_return std::unexpected(*fault_);
        const auto found = blocks_.find(name);
        if (found == blocks_.end()) co_return fail(errc::not_found);
        if (now() - found->second.mtime < o.protect_for) co_return volumes::trash_outcome::too_new;
        if (o.only_if_mtime && *o.only_if_mtime != found->second.mtime) co_return volumes::trash_outcome::changed;
        if (o.lifetime > std::chrono::nanoseconds::zero()) trashed_[name] = {found->second, now() + o.lifetime};
        blocks_.erase(found);
        co_return volumes::trash_outcome::trashed;
    }

    awaitable<result<void>> untrash(md5_digest name, deadline) override {
        const std::lock_guard lock(mutex_);
        if (fault_) co_return std::unexpected(*fault_);
        const auto found = trashed_.find(name);
        if (found == trashed_.end()) co_return fail(errc::not_found);
        auto& block = blocks_.try_emplace(name, found->second.first).first->second;
        block.mtime = now();
        trashed_.erase(found);
        co_return success();
    }

    awaitable<result<volumes::empty_trash_stats>> empty_trash(unsigned, deadline) override {
        const std::lock_guard lock(mutex_);
        if (fault_) co_return std::unexpected(*fault_);
        volumes::empty_trash_stats out;
        const auto present = now();
        std::erase_if(trashed_, [&](const auto& item) {
            const auto& [block, due] = item.second;
            const std::size_t size = block.content->size();
            if (due > present) {
                ++out.blocks_in_trash;
                out.bytes_in_trash += size;
                return false;
            }
            ++out.blocks_deleted;
            out.bytes_deleted += size;
            return true;
        });
        co_return out;
    }

    awaitable<result<void>> index(std::string prefix, volumes::index_sink& sink, deadline) override {
        std::vector<volumes::block_info> all;
        std::optional<error> fault;
        {
            const std::lock_guard lock(mutex_);
            if (fault_) co_return std::unexpected(*fault_);
            for (const auto& [name, block] : blocks_)
                if (name.hex().starts_with(prefix)) all.push_back({name, block.content->size(), block.mtime});
            fault = index_fault_;
        }
        if (!all.empty())
            if (auto put = co_await sink.put(all); !put) co_return put;
        if (fault) co_return std::unexpected(*fault);
        co_return success();
    }

    volumes::volume_stats stats() const override {
        const std::lock_guard lock(mutex_);
        return stats_;
    }

    std::string health() const override {
        const std::lock_guard lock(mutex_);
        return fault_ ? fault_->text : std::string();
    }

  private:
    using content_ptr = std::shared_ptr<const std::string>;
    using attribute_map = std::map<std::string, std::vector<std::byte>>;
    struct block {
        content_ptr content;
        volumes::block_time mtime;
        std::shared_ptr<attribute_map> attributes = std::make_shared<attribute_map>();
    };

    class reader final : public volumes::block_reader {
      public:
        reader(memory_volume& v, const block& b) : volume_(v), content_(b.content), attributes_(b.attributes) {}
        std::uint64_t size() const noexcept override { return content_->size(); }
        awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into, deadline) override {
            const std::lock_guard lock(volume_.mutex_);
            if (volume_.fault_) co_return std::unexpected(*volume_.fault_);
            const std::string_view rest = from(offset);
            const std::size_t n = std::min(rest.size(), into.size());
            if (n > 0) std::memcpy(into.bytes.data(), rest.data(), n);
            volume_.stats_.bytes_in += n;
            co_return n;
        }
        awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes, deadline) override {
            const std::string_view rest = from(offset);
            co_return rest.size() >= bytes.size() && std::memcmp(rest.data(), bytes.bytes.data(), bytes.size()) == 0;
        }
        awaitable<result<std::vector<std::byte>>> read_attribute(std::string name, deadline) override {
            const std::lock_guard lock(volume_.mutex_);
            if (!volume_.keep_attributes_) co_return fail(errc::unsupported);
            const auto found = attributes_->find(name);
            if (found == attributes_->end()) co_return fail(errc::not_found);
            co_return found->second;
        }
        awaitable<result<void>> write_attribute(std::string name, std::vector<std::byte> value, deadline) override {
            const std::lock_guard lock(volume_.mutex_);
            if (!volume_.keep_attributes_) co_return fail(errc::unsupported);
            attributes_->insert_or_assign(std::move(name), std::move(value));
            co_return success();
        }

      private:
        std::string_view from(std::uint64_t offset) const {
            return std::string_view(*content_).substr(std::min<std::size_t>(offset, content_->size()));
        }
        memory_volume& volume_;
        content_ptr content_;
        std::shared_ptr<attribute_map> attributes_;
    };

    class writer final : public volumes::block_writer {
      public:
        writer(memory_volume& v, const md5_digest& name) : volume_(v), name_(name) {}
        awaitable<result<void>> append(const_slice bytes, deadline) override {
            const std::lock_guard lock(volume_.mutex_);
            if (volume_.fault_) co_return std::unexpected(*volume_.fault_);
            content_.append(reinterpret_cast<const char*>(bytes.bytes.data()), bytes.size());
            volume_.stats_.bytes_out += bytes.size();
            co_return success();
        }
        void set_queue_bytes(std::size_t) noexcept override {}
        awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline) override {
            const std::string_view rest =
                std::string_view(content_).substr(std::min<std::size_t>(offset, content_.size()));
            const std::size_t n = std::min(rest.size(), into.size());
            if (n > 0) std::memcpy(into.bytes.data(), rest.data(), n);
            co_return n;
        }
        awaitable<result<void>> commit(std::optional<std::pair<std::string, std::vector<std::byte>>> attribute,
                                       deadline) override {
            const std::lock_guard lock(volume_.mutex_);
            if (volume_.fault_) co_return std::unexpected(*volume_.fault_);
            block made{std::make_shared<const std::string>(std::move(content_)), now()};
            if (attribute && volume_.keep_attributes_) made.attributes->insert(std::move(*attribute));
            volume_.blocks_[name_] = std::move(made);
            co_return success();
        }

      private:
        memory_volume& volume_;
        md5_digest name_;
        std::string content_;
    };

    const std::string device_id_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::map<md5_digest, block> blocks_;
    std::map<md5_digest, std::pair<block, volumes::block_time>> trashed_;
    std::optional<error> fault_;
    std::optional<error> index_fault_;
    bool keep_attributes_ = false;
    volumes::volume_stats stats_;
};

}  // namespace keepstore::test
