/// The weights that order servers and mounts for blocks, for several blocks at a time: one MD5 each, computed in SIMD
/// lanes. What protocol::rendezvous_weight() gives for servers; for mounts MD5(block's name in hex, then the whole
/// volume UUID), as keep-balance has it. An object belongs to one thread; the cluster must outlive it.
#pragma once

#include "base/md5_digest.hpp"
#include "digest/md5_lanes.hpp"
#include "keepctl/balance/cluster.hpp"

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace keepstore::keepctl::balance {

class weights {
  public:
    explicit weights(const cluster& all, const digest::md5_kernel& kernel = digest::default_md5_kernel());

    /// Blocks that one call of compute() takes at most; calls with as many are the cheapest ones.
    [[nodiscard]] std::size_t batch() const noexcept { return kernel_.lanes; }
    void compute(std::span<const md5_digest> blocks);

    /// Of the `number`th block of the last call.
    [[nodiscard]] std::span<const md5_digest> of_servers(std::size_t number) const;
    /// Zero for a mount that is the only one of its server: nothing compares it.
    [[nodiscard]] std::span<const md5_digest> of_mounts(std::size_t number) const;

  private:
    /// A message without the block's name, which is its first 32 bytes, with MD5's padding.
    struct text {
        std::vector<std::byte> bytes;
        std::size_t column = 0;
    };
    [[nodiscard]] static text padded(std::string_view tail, std::size_t column);
    void compute_one(const text& t, std::size_t blocks);

    const digest::md5_kernel& kernel_;
    const std::size_t servers_;
    const std::size_t columns_;  // Servers, then mounts.
    std::vector<text> texts_;
    std::size_t message_bytes_ = 0;    // Of the longest message.
    std::vector<std::byte> messages_;  // Of all lanes. Their names stay for all texts.
    std::vector<digest::md5_state> states_;
    std::vector<digest::md5_lane> lanes_;
    std::vector<md5_digest> found_;  // A row for each block.
};

}  // namespace keepstore::keepctl::balance
