#include "keepctl/cluster/opened_volume.hpp"

#include "base/limits.hpp"
#include "digest/waypoints.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/limits.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

/// A volume that the tool opens itself, as a place. Other processes may serve it at the same time: the driver's own
/// locking rules hold.
class opened_volume final : public block_place {
  public:
    opened_volume(std::string name, mount_info mount, std::unique_ptr<volumes::volume> volume)
        : name_(std::move(name)), names_{name_}, mounts_{std::move(mount)}, volume_(std::move(volume)) {}

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] awaitable<result<void>> connect(deadline until) override;
    [[nodiscard]] const std::vector<mount_info>& mounts() const noexcept override { return mounts_; }
    [[nodiscard]] awaitable<result<void>> list(std::string prefix, std::vector<entry>& out, listing_notes& notes,
                                               deadline until) override;
    [[nodiscard]] const std::vector<std::string>& server_names() const noexcept override { return names_; }
    [[nodiscard]] awaitable<result<void>> check(deadline until) const override;
    [[nodiscard]] std::vector<std::uint16_t> sources(const md5_digest&) const override { return {0}; }
    [[nodiscard]] awaitable<result<std::unique_ptr<protocol::block_source>>> open(block_id block, std::size_t server,
                                                                                  deadline until) override;
    [[nodiscard]] awaitable<result<bool>> untrash(md5_digest block, deadline until) override;
    [[nodiscard]] std::int64_t replicas_wanted() const noexcept override { return 1; }
    [[nodiscard]] std::int64_t replicas_possible() const noexcept override { return 1; }
    [[nodiscard]] store_plan plan(const md5_digest& block, std::span<const entry> good) const override;
    [[nodiscard]] awaitable<result<std::int64_t>> store(block_id block, std::size_t server,
                                                        protocol::block_stream& bytes, deadline until) override;

  private:
    const std::string name_;
    const std::vector<std::string> names_;  // The same, as a list.
    const std::vector<mount_info> mounts_;
    const std::unique_ptr<volumes::volume> volume_;
};

class volume_source final : public protocol::block_source {
  public:
    volume_source(std::string where, std::unique_ptr<volumes::block_reader> reader)
        : where_(std::move(where)), reader_(std::move(reader)), size_(reader_->size()) {}

    [[nodiscard]] std::string where() const override { return where_; }
    [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
    [[nodiscard]] awaitable<result<void>> read(mutable_slice into, deadline until) override {
        while (into.size() > 0) {
            KS_CO_TRY(const std::size_t count, co_await reader_->read_at(offset_, into, until));
            if (count == 0) co_return fail(errc::checksum_mismatch, where_ + ": the copy ends before its size");
            offset_ += count;
            into = into.subslice(count);
        }
        co_return success();
    }
    // The size is that of the open file or object.
    [[nodiscard]] awaitable<result<void>> expect_end(deadline) override { co_return success(); }

  private:
    const std::string where_;
    const std::unique_ptr<volumes::block_reader> reader_;
    const std::uint64_t size_;
    std::uint64_t offset_ = 0;
};

class entry_sink final : public volumes::index_sink {
  public:
    entry_sink(std::vector<entry>& out, listing_notes& notes) : out_(out), notes_(notes) {}

    [[nodiscard]] awaitable<result<void>> put(std::span<const volumes::block_info> batch) override {
        for (const auto& b : batch) {
            if (b.size > limits::block_size_bytes_max) {
                ++notes_.too_large;
                continue;
            }
            out_.push_back({.block = b.name,
                            .size = static_cast<std::uint32_t>(b.size),
                            .mtime = b.mtime.time_since_epoch().count()});
        }
        co_return success();
    }
    void foreign(std::uint64_t count) override { notes_.foreign += count; }

  private:
    std::vector<entry>& out_;
    listing_notes& notes_;
};

}  // namespace

awaitable<result<void>> opened_volume::connect(deadline until) {
    co_return co_await check(until);
}

awaitable<result<void>> opened_volume::check(deadline until) const {
    // One folder, one page: shows whether the storage responds and lets us in.
    std::vector<entry> ignored;
    listing_notes notes;
    entry_sink sink(ignored, notes);
    co_return co_await volume_->index("000", sink, until);
}

awaitable<result<void>> opened_volume::list(std::string prefix, std::vector<entry>& out, listing_notes& notes,
                                            deadline until) {
    entry_sink sink(out, notes);
    co_return co_await volume_->index(std::move(prefix), sink, until);
}

awaitable<result<std::unique_ptr<protocol::block_source>>> opened_volume::open(block_id block, std::size_t,
                                                                               deadline until) {
    KS_CO_TRY(auto reader, co_await volume_->open_for(block.name, {.size = block.size}, until));
    // Every byte is read once: the page cache is for the daemons.
    reader->bypass_caches();
    co_return std::make_unique<volume_source>(name_, std::move(reader));
}

awaitable<result<bool>> opened_volume::untrash(md5_digest block, deadline until) {
    auto back = co_await volume_->untrash(block, until);
    if (back) co_return true;
    if (back.error() == errc::not_found) co_return false;
    co_return std::unexpected(std::move(back.error()));
}

store_plan opened_volume::plan(const md5_digest&, std::span<const entry> good) const {
    return good.empty() ? store_plan{.missing = 1, .servers = {{.server = 0}}} : store_plan{};
}

awaitable<result<std::int64_t>> opened_volume::store(block_id block, std::size_t, protocol::block_stream& bytes,
                                                     deadline until) {
    KS_CO_TRY(auto writer, co_await volume_->create(block.name, bytes.size(), until));
    writer->set_queue_bytes(limits::keepctl_queue_bytes);
    while (true) {
        KS_CO_TRY(auto piece, co_await bytes.next(until));
        if (piece.size() == 0) break;
        KS_CO_CHECK(co_await writer->append(std::move(piece), until));
    }
    std::optional<std::pair<std::string, std::vector<std::byte>>> attribute;
    if (auto points = bytes.waypoints()) attribute.emplace(digest::waypoints_attribute, std::move(*points));
    KS_CO_CHECK(co_await writer->commit(std::move(attribute), until));
    co_return 1;
}

std::unique_ptr<block_place> make_opened_volume(std::string name, mount_info mount,
                                                std::unique_ptr<volumes::volume> volume) {
    return std::make_unique<opened_volume>(std::move(name), std::move(mount), std::move(volume));
}

}  // namespace keepstore::keepctl
