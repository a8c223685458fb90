#include "keepctl/cluster/block_place.hpp"

#include "net/client/failure.hpp"
#include "s3/error.hpp"

#include <system_error>

namespace keepstore::keepctl {

awaitable<result<void>> block_place::verify(block_id, std::size_t, deadline) {
    co_return fail(errc::unsupported);
}

bool is_final(const error& why) noexcept {
    using s3::error_kind;
    if (why == errc::unauthorized || why == errc::forbidden || why == errc::no_space) return true;
    for (const auto kind : {error_kind::no_such_bucket, error_kind::access_denied, error_kind::bad_credentials,
                            error_kind::clock_skew, error_kind::wrong_region, error_kind::bad_certificate}) {
        if (why.cause == kind) return true;
    }
    return why.cause == net::failure::certificate || why.cause == std::errc::read_only_file_system;
}

}  // namespace keepstore::keepctl
