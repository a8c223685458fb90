/// How tests read blocks of a volume on a real service.
#pragma once

#include "tests/volumes/s3/s3_fixture.hpp"
#include "tests/volumes/s3/tcp_relay.hpp"
#include "volumes/cloud/attribute.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

namespace keepstore::test {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline s3_fixture make_fixture() {
    return s3_fixture([](volumes::s3_options& o) {
        o.protect_for = hours(1);
        o.trash_lifetime = hours(1);
    });
}

inline awaitable<result<bytes>> read_in_order(volumes::block_reader& reader, std::size_t piece) {
    bytes out(static_cast<std::size_t>(reader.size()));
    std::size_t at = 0;
    while (at < out.size()) {
        const auto into = make_heap_slice(std::min(piece, out.size() - at));
        auto n = co_await reader.read_at(at, into, soon());
        if (!n) co_return std::unexpected(n.error());
        if (*n == 0) co_return fail(errc::io_error, "ends early");
        std::copy_n(into.bytes.begin(), *n, out.begin() + static_cast<std::ptrdiff_t>(at));
        at += *n;
    }
    co_return out;
}

}  // namespace keepstore::test
