#include "volumes/cloud/volume_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::volumes::cloud {
namespace {

block_time our_now() {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

std::size_t downloads_max(const core_options& setup) {
    if (setup.downloads.most > 0) return setup.downloads.most;
    const std::size_t connections = std::size_t{setup.connections_max} * task_group::loops_for(setup.loops);
    return std::max<std::size_t>(1, connections * limits::cloud_download_quarters / 4);
}

}  // namespace

bool download_target::is_large() const noexcept {
    const auto expected = std::min(length.value_or(size), size - std::min(size, offset));
    return expected >= limits::cloud_parallel_block_bytes_min;
}

volume_core::volume_core(core_options o)
    : setup(std::move(o)),
      breaker(std::make_shared<circuit_breaker>(setup.where, setup.diagnosis)),
      memory(std::make_shared<chunk_memory>(setup.fetch_memory_bytes, setup.fetch_reserve_bytes)),
      upload_policy(limits::cloud_parallel_uploads_max, "large blocks are sent in parts: that is faster", setup.where),
      download_policy(limits::cloud_parallel_downloads_max, "large blocks are fetched in parts: that is faster",
                      setup.where),
      turns({.most = downloads_max(setup),
             .least = setup.downloads.least,
             .throttles = [this] { return requests_throttled(); },
             .where = setup.where,
             .length = setup.downloads.turn}),
      loops(setup.loops, setup.where.service) {}

block_time volume_core::now() const {
    return setup.now ? setup.now() : our_now() + clock_skew();
}

block_time volume_core::now_at_most() const {
    return setup.now ? setup.now() : std::min(now(), our_now());
}

block_time volume_core::now_at_least() const {
    return setup.now ? setup.now() : std::max(now(), our_now());
}

std::string volume_core::says(std::string_view predicate) const {
    return fmt::format("{} {}", setup.where.service, predicate);
}

}  // namespace keepstore::volumes::cloud
