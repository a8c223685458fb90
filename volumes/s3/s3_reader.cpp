#include "volumes/s3/s3_reader.hpp"

#include "base/limits.hpp"
#include "digest/waypoints.hpp"
#include "volumes/s3/attribute.hpp"
#include "volumes/s3/shared_download.hpp"

#include <algorithm>
#include <cstring>

namespace keepstore::volumes::s3 {
namespace {

/// A reader's place in a fetch.
class seat {
  public:
    seat(std::shared_ptr<fetch> f, unsigned number) : fetch_(std::move(f)), number_(number) {}
    ~seat() { fetch_->leave(number_); }
    seat(const seat&) = delete;
    seat& operator=(const seat&) = delete;

    [[nodiscard]] fetch& source() const noexcept { return *fetch_; }
    [[nodiscard]] const std::shared_ptr<fetch>& shared_source() const noexcept { return fetch_; }
    [[nodiscard]] unsigned number() const noexcept { return number_; }

  private:
    const std::shared_ptr<fetch> fetch_;
    const unsigned number_;
};

std::shared_ptr<seat> start_fetch(const std::shared_ptr<s3_core>& core, fetch_target what) {
    auto started = std::make_shared<fetch>(core, std::move(what));
    const auto number = started->start();
    return std::make_shared<seat>(std::move(started), number);
}

class s3_reader final : public block_reader {
  public:
    s3_reader(std::shared_ptr<s3_core> core, md5_digest name, protocol::object_info info, std::shared_ptr<seat> place)
        : core_(std::move(core)),
          name_(name),
          info_(std::move(info)),
          seat_(std::move(place)),
          opened_by_(seat_->shared_source()),
          read_upto_(seat_->source().begin()) {}

    std::uint64_t size() const noexcept override { return info_.size; }

    bool streams() const noexcept override { return true; }

    void bypass_caches() override { seat_->source().expect_nobody_else(); }

    awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into, deadline until) override {
        const auto wanted = within_block(offset, into.size());
        std::size_t filled = 0;
        while (filled < wanted) {
            const auto piece = co_await next_piece(offset + filled, wanted - filled, until);
            if (!piece) co_return std::unexpected(piece.error());
            std::memcpy(into.bytes.data() + filled, piece->bytes.data(), piece->size());
            filled += piece->size();
        }
        co_return filled;
    }

    std::optional<std::size_t> try_read_at(std::uint64_t offset, std::span<std::byte> into) override {
        const auto wanted = within_block(offset, into.size());
        if (wanted == 0) return 0;
        const auto piece = seat_->source().try_read(seat_->number(), offset, wanted);
        if (!piece || piece->elsewhere) return std::nullopt;
        read_upto_ = std::max(read_upto_, offset + piece->bytes.size());
        std::memcpy(into.data(), piece->bytes.bytes.data(), piece->bytes.size());
        return piece->bytes.size();
    }

    awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes, deadline until) override {
        if (offset > info_.size || bytes.size() > info_.size - offset) co_return false;
        std::size_t compared = 0;
        while (compared < bytes.size()) {
            const auto piece = co_await next_piece(offset + compared, bytes.size() - compared, until);
            if (!piece) co_return std::unexpected(piece.error());
            if (std::memcmp(bytes.bytes.data() + compared, piece->bytes.data(), piece->size()) != 0) co_return false;
            compared += piece->size();
        }
        co_return true;
    }

    awaitable<result<std::vector<std::byte>>> read_attribute(std::string name, deadline until) override {
        const auto first = opened_by_;
        const auto recent = co_await first->marker(until);
        if (!recent) co_return std::unexpected(recent.error());
        const auto text = recent->find_metadata(metadata_name(name));
        if (!text) co_return fail(errc::not_found);
        auto value = decode_attribute(*text);
        if (!value) co_return fail(errc::not_found);
        co_return std::move(*value);
    }

    // The only place for it is the marker, and to write that again would be a touch.
    awaitable<result<void>> write_attribute(std::string, std::vector<std::byte>, deadline) override {
        co_return fail(errc::unsupported);
    }

  private:
    [[nodiscard]] std::size_t within_block(std::uint64_t offset, std::size_t count) const noexcept {
        if (offset >= info_.size) return 0;
        return static_cast<std::size_t>(std::min<std::uint64_t>(count, info_.size - offset));
    }

    awaitable<result<const_slice>> next_piece(std::uint64_t offset, std::size_t want, deadline until) {
        while (true) {
            const auto place = seat_;  // Another read may take a new one meanwhile.
            auto piece = co_await place->source().read(place->number(), offset, want, until);
            if (!piece) co_return std::unexpected(std::move(piece.error()));
            if (!piece->elsewhere) {
                read_upto_ = std::max(read_upto_, offset + piece->bytes.size());
                co_return std::move(piece->bytes);
            }
            if (seat_ == place) move_to(offset, want);
        }
    }

    // A new GET. Whoever reads on from where the last ranged one ended gets twice as much as that; whoever fell behind,
    // or begins at the beginning, gets all the rest; and whoever jumps a little, since nobody knows how much it wants.
    void move_to(std::uint64_t offset, std::size_t want) {
        const auto& before = seat_->source();
        fetch_target next{.name = name_, .offset = offset, .length = {}, .etag = info_.etag, .size = info_.size};
        if (before.planned_end() == offset) {
            next.length = 2 * (offset - before.begin());
        } else if (offset != read_upto_ && offset > 0) {
            next.length = std::max<std::uint64_t>(want, limits::s3_range_bytes_min);
        }
        if (next.length && *next.length >= info_.size - offset) next.length.reset();
        seat_ = start_fetch(core_, std::move(next));
    }

    const std::shared_ptr<s3_core> core_;
    const md5_digest name_;
    const protocol::object_info info_;
    std::shared_ptr<seat> seat_;
    const std::shared_ptr<fetch> opened_by_;  ///< Knows the marker, also when its body is read no more.
    std::uint64_t read_upto_;
};

// What to ask for first: nothing but the segments that hold the part that is wanted, if that is worth it.
fetch_target first_request(md5_digest name, const open_hint& hint) {
    const auto [offset, length] = hint.part;
    const auto size = hint.size.value_or(0);
    fetch_target what{.name = name, .fix_race = !hint.replaces, .size = size};
    if (length == 0 || size <= limits::s3_range_bytes_min || offset >= size || length > size - offset) return what;
    const auto segment_bytes = digest::waypoints::stride_for(static_cast<std::size_t>(size));
    const auto begin = offset / segment_bytes * segment_bytes;
    const auto end = std::min(size, (offset + length + segment_bytes - 1) / segment_bytes * segment_bytes);
    if (end == size && begin == 0) return what;
    what.offset = begin;
    what.length = end - begin;
    return what;
}

}  // namespace

awaitable<result<std::unique_ptr<block_reader>>> open_s3_reader(std::shared_ptr<s3_core> core, md5_digest name,
                                                                open_hint hint, deadline until) {
    if (auto admitted = core->watch->admit(); !admitted) co_return std::unexpected(std::move(admitted.error()));
    const auto limit = until.within(limits::s3_call_timeout);
    // Blocks of a chunk are hashed as a whole, those that are compared with what is being written from the start.
    const bool marker_wanted = !hint.replaces && hint.size.value_or(0) > limits::chunk_size_bytes;
    auto what = first_request(name, hint);
    while (true) {
        std::shared_ptr<fetch> source;
        std::optional<unsigned> number;
        const bool whole = !what.length;
        if (whole) source = core->fetches.find(name);
        if (source) number = source->join();
        const bool joined = number.has_value();
        if (!joined) {
            source = std::make_shared<fetch>(core, what);
            if (whole) core->fetches.add(name, source);
            number = source->start();
            if (marker_wanted) source->ask_for_marker();
        }
        auto place = std::make_shared<seat>(std::move(source), *number);
        auto info = co_await place->source().opened(limit);
        // Whoever began it may have left just now, which ended it; or it was somebody who writes what is not there.
        const bool looked_less = !hint.replaces && !place->source().fixes_race();
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
        co_return std::make_unique<s3_reader>(core, name, std::move(*info), std::move(place));
    }
}

}  // namespace keepstore::volumes::s3
