/// Gives out the body of a request piece by piece, and again from the start if the request must be repeated.
#pragma once

#include "net/client/http_client.hpp"

#include <cstdint>

namespace keepstore::net {

class body_feed {
  public:
    /// Refers to the request, which must outlive it.
    explicit body_feed(const request& r) noexcept : request_(r), left_(size()) {}

    [[nodiscard]] std::uint64_t size() const noexcept;
    [[nodiscard]] bool from_source() const noexcept { return request_.source != nullptr; }
    [[nodiscard]] const std::vector<const_slice>& pieces() const noexcept { return request_.body; }

    /// From a source: returns the next piece; empty at the end. Checks that the source gives as much as it announced.
    [[nodiscard]] awaitable<result<const_slice>> next();
    /// Takes the first piece from the source now, so that no connection is held while it is made.
    [[nodiscard]] awaitable<result<void>> prefetch();
    /// Goes back to the start. \returns false if the source cannot.
    [[nodiscard]] bool restart();

  private:
    [[nodiscard]] awaitable<result<const_slice>> pull();

    const request& request_;
    std::uint64_t left_;  ///< Bytes that the source still owes.
    const_slice first_;   ///< The first piece, held until the second is requested.
    unsigned calls_ = 0;  ///< Calls of next(); beyond two they are not counted.
    bool fetched_ = false;
};

}  // namespace keepstore::net
