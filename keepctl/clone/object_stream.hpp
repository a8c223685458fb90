/// Objects of a bucket as the ends of a copy: a download as the source of a proven_stream, and that stream as the body
/// of an upload. Each is used by one coroutine.
#pragma once

#include "net/client/http_client.hpp"
#include "protocol/proven_stream.hpp"
#include "s3/client.hpp"

#include <optional>
#include <string>
#include <utility>

namespace keepstore::keepctl {

class object_source final : public protocol::block_source {
  public:
    object_source(std::string where, s3::object_download download)
        : where_(std::move(where)), download_(std::move(download)) {}

    [[nodiscard]] std::string where() const override { return where_; }
    [[nodiscard]] std::uint64_t size() const noexcept override { return download_.length(); }
    /// The download has a deadline of its own.
    [[nodiscard]] awaitable<result<void>> read(mutable_slice into, deadline) override {
        KS_CO_TRY(const std::size_t count, co_await download_.read_full(into.bytes));
        if (count < into.size()) co_return fail(errc::checksum_mismatch, where_ + ": the object ends before its size");
        co_return success();
    }
    // The size is that of the object.
    [[nodiscard]] awaitable<result<void>> expect_end(deadline) override { co_return success(); }

  private:
    const std::string where_;
    s3::object_download download_;
};

class proven_body final : public net::body_source {
  public:
    proven_body(protocol::proven_stream& bytes, deadline until) : bytes_(bytes), until_(until) {}

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
    protocol::proven_stream& bytes_;
    const deadline until_;
    std::optional<error> failed_;
};

}  // namespace keepstore::keepctl
