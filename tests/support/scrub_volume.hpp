/// A volume in memory with attributes and notes, which can read blocks whole, and whose blocks can vanish, turn
/// unreadable or change at a chosen moment: for tests of the scrub. Use from one loop.
#pragma once

#include "tests/support/memory_volume.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::test {

class scrub_volume final : public volumes::volume {
  public:
    explicit scrub_volume(std::string device_id) : inner(std::move(device_id)) {}

    using bytes = std::vector<std::byte>;

    memory_volume inner;
    std::map<md5_digest, bytes> attributes;  ///< One for each block is enough here.
    std::map<std::string, bytes> notes;
    bool keeps_notes = true;
    bool reads_whole = false;
    std::map<md5_digest, int> whole_reads;
    std::size_t whole_reads_at_once = 0;    ///< The most that one call asked for.
    std::optional<error> whole_read_error;  ///< Of the calls, not of the blocks.
    std::set<md5_digest> unreadable;        ///< Reads fail with io_error.
    std::set<md5_digest> gone;              ///< As if trashed.
    std::map<md5_digest, int> opens;
    std::function<void(const md5_digest&)> on_open;  ///< Before the block is opened.
    std::function<void(const md5_digest&)> on_read;  ///< Before each read of a block.
    std::optional<error> create_error;
    std::optional<error> commit_error;
    std::optional<error> index_error;
    int notes_saved = 0;
    int uncached_readers = 0;

    void vanish(const md5_digest& name) { gone.insert(name); }
    [[nodiscard]] std::optional<std::string> content(const md5_digest& name) const {
        return gone.contains(name) ? std::nullopt : inner.content(name);
    }

    const std::string& device_id() const noexcept override { return inner.device_id(); }
    awaitable<result<std::unique_ptr<volumes::block_reader>>> open(md5_digest name, deadline until) override {
        ++opens[name];
        if (on_open) on_open(name);
        if (gone.contains(name)) co_return fail(errc::not_found);
        KS_CO_TRY(auto opened, co_await inner.open(name, until));
        co_return std::make_unique<reader>(*this, name, std::move(opened));
    }
    bool can_read_whole() const noexcept override { return reads_whole; }
    awaitable<result<std::vector<result<std::uint64_t>>>> read_whole(std::vector<volumes::whole_read> blocks,
                                                                     deadline until) override {
        if (whole_read_error) co_return std::unexpected(*whole_read_error);
        whole_reads_at_once = std::max(whole_reads_at_once, blocks.size());
        const auto executor = co_await asio::this_coro::executor;
        std::vector<result<std::uint64_t>> out;
        for (const auto& block : blocks) {
            // As on a disk, others have their turn meanwhile.
            co_await asio::post(executor, asio::use_awaitable);
            ++whole_reads[block.name];
            if (on_read) on_read(block.name);
            if (gone.contains(block.name)) {
                out.push_back(fail(errc::not_found));
                continue;
            }
            auto opened = co_await inner.open(block.name, until);
            if (!opened) {
                out.push_back(std::unexpected(std::move(opened.error())));
            } else if (unreadable.contains(block.name)) {
                out.push_back(fail(errc::io_error, "read: Input/output error"));
            } else if (const auto size = (*opened)->size(); size > block.into.size()) {
                out.push_back(size);
            } else {
                auto got = co_await (*opened)->read_at(0, block.into, until);
                out.push_back(std::move(got));
            }
        }
        co_return out;
    }
    awaitable<result<std::unique_ptr<volumes::block_writer>>> create(md5_digest name, std::optional<std::uint64_t> size,
                                                                     deadline until) override {
        if (create_error) co_return std::unexpected(*create_error);
        KS_CO_TRY(auto created, co_await inner.create(name, size, until));
        co_return std::make_unique<writer>(*this, name, std::move(created));
    }
    awaitable<result<void>> touch(md5_digest name, deadline until) override { return inner.touch(name, until); }
    awaitable<result<volumes::block_time>> mtime(md5_digest name, deadline until) override {
        if (gone.contains(name)) co_return fail(errc::not_found);
        co_return co_await inner.mtime(name, until);
    }
    awaitable<result<volumes::trash_outcome>> trash(md5_digest name, volumes::trash_options o,
                                                    deadline until) override {
        return inner.trash(name, o, until);
    }
    awaitable<result<void>> untrash(md5_digest name, deadline until) override { return inner.untrash(name, until); }
    awaitable<result<volumes::empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        return inner.empty_trash(concurrency, until);
    }
    awaitable<result<void>> index(std::string prefix, volumes::index_sink& sink, deadline until) override {
        if (index_error) co_return std::unexpected(*index_error);
        co_return co_await inner.index(std::move(prefix), sink, until);
    }
    awaitable<result<bytes>> load_metadata(std::string name, deadline) override {
        if (!keeps_notes) co_return fail(errc::unsupported);
        const auto found = notes.find(name);
        if (found == notes.end()) co_return fail(errc::not_found);
        co_return found->second;
    }
    awaitable<result<void>> save_metadata(std::string name, bytes value, deadline) override {
        if (!keeps_notes) co_return fail(errc::unsupported);
        ++notes_saved;
        notes[name] = std::move(value);
        co_return success();
    }
    volumes::volume_stats stats() const override { return inner.stats(); }
    std::string health() const override { return inner.health(); }

  private:
    class reader final : public volumes::block_reader {
      public:
        reader(scrub_volume& home, const md5_digest& name, std::unique_ptr<volumes::block_reader> of)
            : home_(home), name_(name), of_(std::move(of)) {}
        std::uint64_t size() const noexcept override { return of_->size(); }
        void bypass_caches() override { ++home_.uncached_readers; }
        awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into, deadline until) override {
            if (home_.on_read) home_.on_read(name_);
            if (home_.unreadable.contains(name_)) co_return fail(errc::io_error, "read: Input/output error");
            co_return co_await of_->read_at(offset, std::move(into), until);
        }
        awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice b, deadline until) override {
            return of_->equals_at(offset, std::move(b), until);
        }
        awaitable<result<bytes>> read_attribute(std::string, deadline) override {
            const auto found = home_.attributes.find(name_);
            if (found == home_.attributes.end()) co_return fail(errc::not_found);
            co_return found->second;
        }
        awaitable<result<void>> write_attribute(std::string, bytes value, deadline) override {
            home_.attributes[name_] = std::move(value);
            co_return success();
        }

      private:
        scrub_volume& home_;
        const md5_digest name_;
        const std::unique_ptr<volumes::block_reader> of_;
    };

    class writer final : public volumes::block_writer {
      public:
        writer(scrub_volume& home, const md5_digest& name, std::unique_ptr<volumes::block_writer> to)
            : home_(home), name_(name), to_(std::move(to)) {}
        awaitable<result<void>> append(const_slice b, deadline until) override {
            return to_->append(std::move(b), until);
        }
        void set_queue_bytes(std::size_t n) noexcept override { to_->set_queue_bytes(n); }
        awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline until) override {
            return to_->read_back(offset, std::move(into), until);
        }
        awaitable<result<void>> commit(std::optional<std::pair<std::string, bytes>> attribute,
                                       deadline until) override {
            if (home_.commit_error) co_return std::unexpected(*home_.commit_error);
            auto done = co_await to_->commit(std::nullopt, until);
            if (!done) co_return done;
            home_.gone.erase(name_);
            home_.unreadable.erase(name_);
            home_.attributes.erase(name_);
            if (attribute) home_.attributes[name_] = std::move(attribute->second);
            co_return done;
        }

      private:
        scrub_volume& home_;
        const md5_digest name_;
        const std::unique_ptr<volumes::block_writer> to_;
    };
};

}  // namespace keepstore::test
