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
    /// A message without the block's name, which is its first 32 bytes, with MD5's padding: one that is longer than 64
    /// bytes, or comes after such a one.
    struct long_text {
        std::vector<std::byte> bytes;
        std::size_t column = 0;
    };
    [[nodiscard]] static std::vector<std::byte> padded(std::string_view tail);
    void add(std::string_view tail, std::size_t column);
    void compute_long(const long_text& t, std::size_t blocks);

    const digest::md5_kernel& kernel_;
    const std::size_t servers_;
    const std::size_t columns_;            // Servers, then mounts.
    std::vector<digest::md5_half> names_;  // Of the blocks, in hex.
    std::vector<digest::md5_half> tails_;  // Of messages of 64 bytes: those of the first columns.
    std::vector<long_text> long_texts_;
    std::vector<std::byte> messages_;  // Long ones, of all lanes.
    std::vector<digest::md5_state> states_;
    std::vector<digest::md5_lane> lanes_;
    std::vector<md5_digest> found_;  // A row for each block.
};

}  // namespace keepstore::keepctl::balance
