/// A block in memory, as the body of a PUT that may be repeated.
#pragma once

#include "net/client/http_client.hpp"

#include <utility>

namespace keepstore::keepctl {

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

}  // namespace keepstore::keepctl
