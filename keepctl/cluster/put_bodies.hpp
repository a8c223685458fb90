/// Blocks as the bodies of PUTs. Each is used by one coroutine.
#pragma once

#include "net/client/http_client.hpp"
#include "protocol/proven_stream.hpp"

#include <optional>
#include <utility>

namespace keepstore::keepctl {

/// A block in memory: the PUT may be repeated.
class memory_body final : public net::body_source {
  public:
    explicit memory_body(const_slice all) : all_(std::move(all)) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return all_.size(); }
    [[nodiscard]] awaitable<result<const_slice>> next() override {
        co_return std::exchange(given_, true) ? const_slice{} : all_;
    }
    [[nodiscard]] bool rewind() override {
        given_ = false;
        return true;
    }

  private:
    const const_slice all_;
    bool given_ = false;
};

/// A block on its way.
class stream_body final : public net::body_source {
  public:
    stream_body(protocol::block_stream& bytes, deadline until) : bytes_(bytes), until_(until) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }
    [[nodiscard]] awaitable<result<const_slice>> next() override {
        if (failed_) co_return std::unexpected(*failed_);
        auto piece = co_await bytes_.next(until_);
        if (!piece) failed_ = piece.error();
        co_return piece;
    }
    [[nodiscard]] bool rewind() override { return false; }
    /// The error that ended the upload, if it came from here.
    [[nodiscard]] const std::optional<error>& failed() const noexcept { return failed_; }

  private:
    protocol::block_stream& bytes_;
    const deadline until_;
    std::optional<error> failed_;
};

}  // namespace keepstore::keepctl
