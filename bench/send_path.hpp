/// Ways to send a block that is checked by its waypoints before it leaves.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "bench/send_files.hpp"
#include "digest/engine.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <atomic>
#include <optional>
#include <string_view>
#include <vector>

namespace keepstore::bench {

enum class send_path {
    copy,            ///< Read into memory, hash, send those very bytes.
    sendfile_read,   ///< Read a piece, hash, forget it, until a window is checked; then sendfile.
    sendfile_map,    ///< Hash a mapping of the page cache; then sendfile.
    sendfile_plain,  ///< sendfile, nothing checked.
};

[[nodiscard]] std::optional<send_path> parse_send_path(std::string_view name);

/// What a thread's requests share. One thread.
struct send_resources {
    digest::engine& engine;
    std::atomic<unsigned>& requests;         ///< Being served now, by all threads.
    std::vector<mutable_slice> buffers{};    ///< Free ones of `copy`, kept.
    std::vector<mutable_slice> scratches{};  ///< Free ones of `sendfile_read`.
    std::size_t made = 0;                    ///< Buffers so far, for their places in cache sets.
};

/// Sends the whole block, window by window: as many segments side by side as fill the lanes when few
/// requests run, one when many do, since the lanes are filled across requests then.
/// \returns false if the connection must be closed: it broke, or bytes were corrupt.
[[nodiscard]] awaitable<bool> send_block(send_path path, send_resources& resources, const send_file& file,
                                         asio::ip::tcp::socket& socket);

}  // namespace keepstore::bench
