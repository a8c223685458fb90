#include "keepctl/cluster/block_place.hpp"

#include "base/join.hpp"
#include "net/client/failure.hpp"
#include "s3/error.hpp"

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

namespace keepstore::keepctl {

awaitable<result<void>> block_place::verify(block_id, std::size_t, deadline) {
    co_return fail(errc::unsupported);
}

awaitable<std::vector<server_traits>> block_place::traits(deadline) const {
    co_return std::vector<server_traits>();
}

awaitable<std::vector<std::string>> differences_of(const block_place& a, const block_place& b, deadline until) {
    auto all = co_await a.traits(until);
    const auto more = co_await b.traits(until);
    all.insert(all.end(), more.begin(), more.end());
    co_return differences_of(all);
}

std::string devices_of(const block_place& place) {
    std::vector<std::string> all;
    for (const auto& m : place.mounts()) all.push_back(m.uuid + '=' + m.device_id);
    std::ranges::sort(all);
    return join(all, " ");
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

bool may_pass_later(const error& why) noexcept {
    return !is_final(why) && (why == errc::unavailable || why == errc::timeout || why == errc::io_error);
}

}  // namespace keepstore::keepctl
