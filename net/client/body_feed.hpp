/// The body of a request, piece by piece, and from the start again if the request must be repeated.
#pragma once

#include "net/client/http_client.hpp"

#include <cstdint>

namespace keepstore::net {

class body_feed {
  public:
    /// Refers to the request, which stays where it is.
    explicit body_feed(const request& r) noexcept : request_(r), left_(size()) {}

    [[nodiscard]] std::uint64_t size() const noexcept;
    [[nodiscard]] bool from_source() const noexcept { return request_.source != nullptr; }
    [[nodiscard]] const std::vector<const_slice>& pieces() const noexcept { return request_.body; }

    /// From a source: the next piece; empty at the end. Checks that the source gives what it promised.
    [[nodiscard]] awaitable<result<const_slice>> next();
    /// Takes the first piece out of the source now, so that no connection has to wait for it.
    [[nodiscard]] awaitable<result<void>> prefetch();
    /// Back to the start. \returns false if that cannot be done.
    [[nodiscard]] bool restart();

  private:
    [[nodiscard]] awaitable<result<const_slice>> pull();

    const request& request_;
    std::uint64_t left_;  ///< Bytes that the source still owes.
    const_slice first_;   ///< The first piece, held until the second is asked for.
    unsigned asked_ = 0;  ///< Calls of next(); beyond two they are not counted.
    bool fetched_ = false;
};

}  // namespace keepstore::net
