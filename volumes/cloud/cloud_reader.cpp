#include "volumes/cloud/cloud_reader.hpp"

#include "base/limits.hpp"
#include "digest/waypoints.hpp"
#include "volumes/cloud/attribute.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/shared_download.hpp"
#include "volumes/cloud/stall_guard.hpp"

#include <algorithm>
#include <cstring>

namespace keepstore::volumes::cloud {
namespace {

/// A reader's membership in a shared download.
class subscription {
  public:
    subscription(std::shared_ptr<shared_download> download, unsigned number)
        : download_(std::move(download)), number_(number) {}
    ~subscription() { download_->leave(number_); }
    subscription(const subscription&) = delete;
    subscription& operator=(const subscription&) = delete;

    [[nodiscard]] shared_download& download() const noexcept { return *download_; }
    [[nodiscard]] unsigned number() const noexcept { return number_; }

  private:
    const std::shared_ptr<shared_download> download_;
    const unsigned number_;
};

std::shared_ptr<subscription> start_download(const std::shared_ptr<volume_core>& core, download_target what) {
    auto started = std::make_shared<shared_download>(core, std::move(what));
    const auto number = started->start();
    return std::make_shared<subscription>(std::move(started), number);
}

/// A read that fails is a failure of the service or of the way to it: errc::io_error is for disks, and would
/// count as a damaged copy.
error as_outage(error why) {
    if (why == errc::io_error || why == errc::unsupported) why.code = errc::unavailable;
    return why;
}

class cloud_reader final : public block_reader {
  public:
    cloud_reader(std::shared_ptr<volume_core> core, md5_digest name, protocol::object_info info,
                 std::shared_ptr<subscription> mine)
        : core_(std::move(core)),
          name_(name),
          info_(std::move(info)),
          subscription_(std::move(mine)),
          source_(subscription_->download().source()),
          read_upto_(subscription_->download().begin()) {}

    std::uint64_t size() const noexcept override { return info_.size; }

    bool streams() const noexcept override { return true; }

    void bypass_caches() override { subscription_->download().expect_single_reader(); }

    awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into, deadline until) override {
        return unless_stalled(core_->breaker, until, read_all(offset, std::move(into), until));
    }

    std::optional<std::size_t> try_read_at(std::uint64_t offset, std::span<std::byte> into) override {
        const auto wanted = within_block(offset, into.size());
        if (wanted == 0) return 0;
        const auto piece = try_piece(offset, wanted);
        if (!piece) return std::nullopt;
        std::memcpy(into.data(), piece->bytes.data(), piece->size());
        return piece->size();
    }

    awaitable<result<const_slice>> read_piece(std::uint64_t offset, std::size_t want, deadline until) override {
        const auto wanted = within_block(offset, want);
        if (wanted == 0) co_return const_slice{};
        if (auto there = try_piece(offset, wanted)) co_return *std::move(there);
        co_return co_await unless_stalled(core_->breaker, until, next_piece(offset, wanted, until));
    }

    awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes, deadline until) override {
        return unless_stalled(core_->breaker, until, equals_all(offset, std::move(bytes), until));
    }

    awaitable<result<std::vector<std::byte>>> read_attribute(std::string name, deadline until) override {
        const auto source = source_;
        KS_CO_TRY(const auto metadata, co_await unless_stalled(core_->breaker, until, source->metadata(until)));
        const auto text = protocol::find_value(metadata, metadata_name(name, core_->setup.name_separator));
        if (!text) co_return fail(errc::not_found);
        auto value = decode_attribute(*text);
        if (!value) co_return fail(errc::not_found);
        co_return std::move(*value);
    }

    // Writing metadata would be a touch.
    awaitable<result<void>> write_attribute(std::string, std::vector<std::byte>, deadline) override {
        co_return fail(errc::unsupported);
    }

  private:
    awaitable<result<std::size_t>> read_all(std::uint64_t offset, mutable_slice into, deadline until) {
        const auto wanted = within_block(offset, into.size());
        std::size_t filled = 0;
        while (filled < wanted) {
            KS_CO_TRY(const auto piece, co_await next_piece(offset + filled, wanted - filled, until));
            std::memcpy(into.bytes.data() + filled, piece.bytes.data(), piece.size());
            filled += piece.size();
        }
        co_return filled;
    }

    awaitable<result<bool>> equals_all(std::uint64_t offset, const_slice bytes, deadline until) {
        if (offset > info_.size || bytes.size() > info_.size - offset) co_return false;
        std::size_t compared = 0;
        while (compared < bytes.size()) {
            KS_CO_TRY(const auto piece, co_await next_piece(offset + compared, bytes.size() - compared, until));
            if (std::memcmp(bytes.bytes.data() + compared, piece.bytes.data(), piece.size()) != 0) co_return false;
            compared += piece.size();
        }
        co_return true;
    }

    [[nodiscard]] std::size_t within_block(std::uint64_t offset, std::size_t count) const noexcept {
        if (offset >= info_.size) return 0;
        return static_cast<std::size_t>(std::min<std::uint64_t>(count, info_.size - offset));
    }

    // What the download has already.
    std::optional<const_slice> try_piece(std::uint64_t offset, std::size_t want) {
        auto piece = subscription_->download().try_read(subscription_->number(), offset, want);
        if (!piece || piece->outside_window) return std::nullopt;
        read_upto_ = std::max(read_upto_, offset + piece->bytes.size());
        return std::move(piece->bytes);
    }

    awaitable<result<const_slice>> next_piece(std::uint64_t offset, std::size_t want, deadline until) {
        while (true) {
            const auto mine = subscription_;  // A concurrent read may replace it meanwhile.
            auto read = co_await mine->download().read(mine->number(), offset, want, until);
            if (!read) co_return std::unexpected(as_outage(std::move(read.error())));
            auto piece = *std::move(read);
            if (!piece.outside_window) {
                read_upto_ = std::max(read_upto_, offset + piece.bytes.size());
                co_return std::move(piece.bytes);
            }
            if (subscription_ == mine) move_to(offset, want);
        }
    }

    // Starts a new GET. Its size: twice the last range for a sequential reader; all of the rest for one that fell
    // behind or starts at 0; only the wanted bytes, or a little more, for a random read.
    void move_to(std::uint64_t offset, std::size_t want) {
        const auto& before = subscription_->download();
        download_target next{.name = name_, .offset = offset, .length = {}, .opened = info_, .size = info_.size};
        if (before.planned_end() == offset) {
            next.length = 2 * (offset - before.begin());
        } else if (offset != read_upto_ && offset > 0) {
            next.length = std::max<std::uint64_t>(want, limits::cloud_range_bytes_min);
        }
        if (next.length && *next.length >= info_.size - offset) next.length.reset();
        subscription_ = start_download(core_, std::move(next));
    }

    const std::shared_ptr<volume_core> core_;
    const md5_digest name_;
    const protocol::object_info info_;
    std::shared_ptr<subscription> subscription_;
    const std::shared_ptr<object_source> source_;
    std::uint64_t read_upto_;
};

// The first request: only the segments that hold the wanted part, if that is worth it.
download_target first_request(md5_digest name, const open_hint& hint) {
    const auto [offset, length] = hint.part;
    const auto size = hint.size.value_or(0);
    download_target what{.name = name, .fix_race = !hint.replaces, .size = size};
    if (length == 0 || size <= limits::cloud_range_bytes_min || offset >= size || length > size - offset) return what;
    const auto segment_bytes = digest::waypoints::stride_for(static_cast<std::size_t>(size));
    const auto begin = offset / segment_bytes * segment_bytes;
    const auto end = std::min(size, (offset + length + segment_bytes - 1) / segment_bytes * segment_bytes);
    if (end == size && begin == 0) return what;
    what.offset = begin;
    what.length = end - begin;
    return what;
}

}  // namespace

awaitable<result<std::unique_ptr<block_reader>>> open_cloud_reader(std::shared_ptr<volume_core> core, md5_digest name,
                                                                   open_hint hint, deadline until) {
    KS_CO_CHECK(core->breaker->allow());
    const auto limit = until.within(limits::cloud_call_timeout);
    // Waypoints are of no use for blocks of one chunk, and for comparing a block with one that is being written.
    const bool metadata_wanted = !hint.replaces && hint.size.value_or(0) > limits::chunk_size_bytes;
    auto what = first_request(name, hint);
    while (true) {
        std::shared_ptr<shared_download> download;
        std::optional<unsigned> number;
        const bool whole = !what.length;
        if (whole) download = core->downloads.find(name);
        if (download) number = download->join();
        const bool joined = number.has_value();
        if (!joined) {
            download = std::make_shared<shared_download>(core, what);
            // With thousands of readers of one block most downloads are for one, far behind the beginning.
            const auto before = whole ? core->downloads.add(name, download) : nullptr;
            if (before) before->expect_single_reader();
            number = download->start();
            if (metadata_wanted) download->source()->prefetch_metadata();
        }
        auto mine = std::make_shared<subscription>(std::move(download), *number);
        auto info = co_await mine->download().opened(limit);
        // The reader that started it may just have left, which cancelled it; or it was a writer looking for a copy.
        const bool looked_less = !hint.replaces && !mine->download().fixes_race();
        if (joined && !info && !limit.passed() &&
            (info.error() == errc::cancelled || (info.error() == errc::not_found && looked_less))) {
            const auto state = co_await asio::this_coro::cancellation_state;
            if (state.cancelled() == asio::cancellation_type::none) continue;
        }
        if (!info && !whole && range_is_at_fault(info.error())) {
            what = {.name = name, .fix_race = what.fix_race, .size = 0};
            continue;
        }
        if (!info) co_return std::unexpected(std::move(info.error()));
        if (!info->size_is_certain && info->size != hint.size.value_or(info->size)) {
            // It was cut, or is another one: not to be taken for a damaged block.
            co_return fail(errc::unavailable, core->says("does not say how large the object is"));
        }
        co_return std::make_unique<cloud_reader>(core, name, std::move(*info), std::move(mine));
    }
}

}  // namespace keepstore::volumes::cloud
