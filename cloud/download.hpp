/// The body of a GET as a stream that survives broken connections: it continues with a ranged GET for the rest of the
/// same object, within the same deadline and retry budget, and the reader does not notice.
///
/// `object_download` is what callers of a client hold; `download_state` is its machinery. Use both on the executor of
/// the call that began the download, their destruction included.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "cloud/call_runner.hpp"
#include "cloud/object.hpp"
#include "cloud/retry.hpp"
#include "net/client/http_client.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace keepstore::cloud {

/// A GET and the GETs that continue it.
class download_state {
  public:
    download_state(std::shared_ptr<call_runner> runner, std::string key, deadline until);
    download_state(const download_state&) = delete;
    download_state& operator=(const download_state&) = delete;

    /// Sends the first GET. Where the response has no length it is asked for by a HEAD, or the body is read once to
    /// count its bytes. A range of an object whose size that does not tell is error_kind::unsupported. Call before all
    /// others, once.
    [[nodiscard]] awaitable<result<void>> begin(get_options options);

    [[nodiscard]] const object_info& info() const noexcept { return info_; }
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
    [[nodiscard]] std::uint64_t length() const noexcept { return length_; }
    [[nodiscard]] std::uint64_t remaining() const noexcept { return length_ - position_; }
    [[nodiscard]] awaitable<result<std::size_t>> read_some(std::span<std::byte> into);

  private:
    /// What a GET asked for, and what its response says.
    struct inquiry {
        std::optional<byte_range> range;
        std::string if_match;
        bool unsized = false;  ///< The response does not say the size of the object.
    };

    [[nodiscard]] awaitable<result<void>> open(std::optional<byte_range> what, std::string if_match);
    [[nodiscard]] awaitable<result<net::response>> send_get(name_values headers, inquiry& asked);
    /// Asks for the object's size by a HEAD; nullopt if that does not tell.
    [[nodiscard]] awaitable<std::optional<std::uint64_t>> ask_size();
    [[nodiscard]] result<void> accept(inquiry& asked, const net::response& response);
    [[nodiscard]] result<void> adopt(object_info found, std::uint64_t first, std::uint64_t count);
    [[nodiscard]] awaitable<result<void>> measure(net::response unsized);
    [[nodiscard]] awaitable<result<void>> resume(error broken);

    const std::shared_ptr<call_runner> runner_;
    const service_traits& service_;
    const std::string key_;
    const deadline until_;
    retry_session session_;

    object_info info_;
    std::string validator_;            ///< Of the latest response.
    std::uint64_t offset_ = 0;         ///< Of the first byte of the body in the object.
    std::uint64_t length_ = 0;         ///< Of the body.
    std::uint64_t position_ = 0;       ///< Bytes of the body that were read.
    std::uint64_t progress_mark_ = 0;  ///< `position_` when the failure count was last reset.
    bool opened_ = false;
    std::optional<std::uint64_t> measured_;  ///< The size of an object whose GET does not say it.
    bool counted_ = false;                   ///< It was counted.
    std::optional<net::response> response_;
    std::optional<error> failed_;  ///< The final error.
};

class object_download;

/// Begins to read an object. `runner` is kept.
[[nodiscard]] awaitable<result<object_download>> begin_download(std::shared_ptr<call_runner> runner, std::string key,
                                                                get_options options, deadline until);

/// Move only. Destroyed early it closes the connection, unless little is left to read.
class object_download {
  public:
    explicit object_download(std::unique_ptr<download_state> begun) noexcept : state_(std::move(begun)) {}

    [[nodiscard]] const object_info& info() const noexcept { return state_->info(); }
    /// Of the first byte of the body in the object.
    [[nodiscard]] std::uint64_t offset() const noexcept { return state_->offset(); }
    /// Of the body: the sum of all reads.
    [[nodiscard]] std::uint64_t length() const noexcept { return state_->length(); }
    [[nodiscard]] std::uint64_t remaining() const noexcept { return state_->remaining(); }

    // One at a time, awaited in place. An error is final. `into` stays the caller's; after an error its content is
    // unspecified.

    /// Reads at least one byte, and all that have arrived. \returns the bytes read; 0 at the end.
    [[nodiscard]] awaitable<result<std::size_t>> read_some(std::span<std::byte> into) {
        return state_->read_some(into);
    }
    /// Reads until `into` is full or the body ends. \returns the bytes read.
    [[nodiscard]] awaitable<result<std::size_t>> read_full(std::span<std::byte> into);

  private:
    std::unique_ptr<download_state> state_;
};

}  // namespace keepstore::cloud
