/// An object of a bucket that is downloaded, as the source of a proven_stream. Used by one coroutine.
#pragma once

#include "protocol/proven_stream.hpp"
#include "s3/client.hpp"

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

}  // namespace keepstore::keepctl
