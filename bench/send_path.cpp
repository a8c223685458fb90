#include "bench/send_path.hpp"

#include "base/units.hpp"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace keepstore::bench {

namespace {

// Segments of a single request: all lanes of AVX-512, and 16 MiB of a 64 MiB block.
constexpr std::size_t segments_per_window_max = 16;
// Step of `sendfile_read`, which reads and hashes bytes without keeping them: the size of the daemon's chunks.
constexpr std::size_t piece_bytes = 256 * KiB;
// Buffers must not begin in the same cache set, or sixteen lanes fight for its twelve ways.
constexpr std::size_t colour_bytes = 1600;
constexpr std::size_t page_bytes = 4096;

using buffers_type = std::vector<mutable_slice>;

/// Buffers of one request, from a free list of its thread and back.
class borrowed {
  public:
    borrowed(buffers_type& home, std::size_t& made, std::size_t count, std::size_t size) : home_(home) {
        while (slices_.size() < count) {
            if (!home_.empty()) {
                slices_.push_back(std::move(home_.back()));
                home_.pop_back();
                continue;
            }
            const auto colour = made++ * colour_bytes % page_bytes;
            slices_.push_back(make_heap_slice(size + page_bytes).subslice(colour, size));
        }
    }
    ~borrowed() {
        for (auto& slice : slices_) home_.push_back(std::move(slice));
    }
    borrowed(const borrowed&) = delete;
    borrowed& operator=(const borrowed&) = delete;

    mutable_slice& operator[](std::size_t i) { return slices_[i]; }

  private:
    buffers_type& home_;
    buffers_type slices_;
};

/// A window: segments [first, first + count) of the file.
struct window {
    const send_file& file;
    std::size_t first;
    std::size_t count;

    [[nodiscard]] std::size_t offset(std::size_t i) const { return (first + i) * file.points.stride(); }
    [[nodiscard]] std::size_t bytes(std::size_t i) const { return file.points.segment_bytes(first + i); }
    [[nodiscard]] std::size_t total() const { return offset(count - 1) + bytes(count - 1) - offset(0); }
    [[nodiscard]] std::vector<digest::md5_segment> segments() const {
        std::vector<digest::md5_segment> out(count);
        for (std::size_t i = 0; i < count; ++i) out[i].state = file.points.state_before(first + i);
        return out;
    }
    [[nodiscard]] bool good(const std::vector<digest::md5_segment>& hashed) const {
        for (std::size_t i = 0; i < count; ++i) {
            const auto wanted = file.points.state_after(first + i);
            const bool right =
                wanted ? hashed[i].state == *wanted : digest::md5_finish(hashed[i].state, {}, file.size) == file.name;
            if (!right) return false;
        }
        return true;
    }
};

bool read_exactly(int fd, std::span<std::byte> into, std::size_t offset) {
    return ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset)) == static_cast<ssize_t>(into.size());
}

awaitable<bool> wait_writable(asio::ip::tcp::socket& socket) {
    const auto [ec] = co_await socket.async_wait(asio::ip::tcp::socket::wait_write, use_tuple);
    co_return !ec;
}

awaitable<bool> send_bytes(asio::ip::tcp::socket& socket, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(socket.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) co_return false;
        const bool writable = co_await wait_writable(socket);
        if (!writable) co_return false;
    }
    co_return true;
}

awaitable<bool> send_from_cache(asio::ip::tcp::socket& socket, int fd, std::size_t offset, std::size_t count) {
    auto at = static_cast<off_t>(offset);
    const auto end = static_cast<off_t>(offset + count);
    while (at < end) {
        const auto sent = ::sendfile(socket.native_handle(), fd, &at, static_cast<std::size_t>(end - at));
        if (sent > 0) continue;
        if (sent == 0) co_return false;  // The file has become shorter.
        if (errno == EINTR) continue;
        if (errno != EAGAIN) co_return false;
        const bool writable = co_await wait_writable(socket);
        if (!writable) co_return false;
    }
    co_return true;
}

awaitable<bool> send_copied(send_resources& r, const window w, asio::ip::tcp::socket& socket) {
    borrowed buffers(r.buffers, r.made, w.count, w.file.points.stride());
    auto segments = w.segments();
    for (std::size_t i = 0; i < w.count; ++i) {
        if (!read_exactly(w.file.fd, buffers[i].bytes.first(w.bytes(i)), w.offset(i))) {
            co_return false;
        }
        segments[i].blocks = buffers[i].freeze(w.bytes(i));
    }
    const auto hashed = co_await r.engine.compress_all(segments);
    if (!hashed || !w.good(segments)) co_return false;
    for (const auto& segment : segments) {
        const bool sent = co_await send_bytes(socket, segment.blocks.bytes);
        if (!sent) co_return false;
    }
    co_return true;
}

awaitable<bool> check_by_reading(send_resources& r, const window w) {
    borrowed scratch(r.scratches, r.made, w.count, piece_bytes);
    auto segments = w.segments();
    for (std::size_t done = 0; done < w.file.points.stride(); done += piece_bytes) {
        for (std::size_t i = 0; i < w.count; ++i) {
            const auto left = w.bytes(i) - std::min(done, w.bytes(i));
            const auto now = std::min(left, piece_bytes);
            segments[i].blocks = scratch[i].freeze(now);
            if (!read_exactly(w.file.fd, scratch[i].bytes.first(now), w.offset(i) + done)) {
                co_return false;
            }
        }
        const auto hashed = co_await r.engine.compress_all(segments);
        if (!hashed) co_return false;
    }
    co_return w.good(segments);
}

// A file that is truncated under its mapping kills a process that does not handle SIGBUS: here it is
// our own file, and is not truncated.
awaitable<bool> check_by_mapping(send_resources& r, const window w) {
    auto segments = w.segments();
    for (std::size_t i = 0; i < w.count; ++i) {
        segments[i].blocks.bytes = std::span(w.file.mapping + w.offset(i), w.bytes(i));
    }
    const auto hashed = co_await r.engine.compress_all(segments);
    co_return hashed&& w.good(segments);
}

awaitable<bool> send_window(send_path path, send_resources& r, const window w, asio::ip::tcp::socket& socket) {
    if (path == send_path::copy) {
        const bool sent = co_await send_copied(r, w, socket);
        co_return sent;
    }
    bool good = true;
    if (path == send_path::sendfile_read) {
        good = co_await check_by_reading(r, w);
    } else if (path == send_path::sendfile_map) {
        good = co_await check_by_mapping(r, w);
    }
    if (!good) co_return false;
    const bool sent = co_await send_from_cache(socket, w.file.fd, w.offset(0), w.total());
    // What has left cannot be called back, but the client must not take it for the whole block.
    co_return sent && (path == send_path::sendfile_plain || w.file.unchanged());
}

}  // namespace

std::optional<send_path> parse_send_path(std::string_view name) {
    if (name == "copy") return send_path::copy;
    if (name == "sendfile-read") return send_path::sendfile_read;
    if (name == "sendfile-map") return send_path::sendfile_map;
    if (name == "sendfile-plain") return send_path::sendfile_plain;
    return std::nullopt;
}

awaitable<bool> send_block(send_path path, send_resources& r, const send_file& file, asio::ip::tcp::socket& socket) {
    const auto segments = file.points.segment_count();
    for (std::size_t first = 0; first < segments;) {
        const auto fair = segments_per_window_max / std::max(1U, r.requests.load());
        const auto count = std::min(std::max<std::size_t>(1, fair), segments - first);
        const bool sent = co_await send_window(path, r, window{file, first, count}, socket);
        if (!sent) co_return false;
        first += count;
    }
    co_return true;
}

}  // namespace keepstore::bench
