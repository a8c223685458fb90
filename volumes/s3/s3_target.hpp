/// Writes one block to a bucket: the block, then its marker.
#pragma once

#include "volumes/cloud/upload_target.hpp"
#include "volumes/s3/s3_core.hpp"

#include <memory>
#include <vector>

namespace keepstore::volumes::s3 {

class s3_target final : public cloud::upload_target {
  public:
    s3_target(std::shared_ptr<s3_core> core, md5_digest name) : core_(std::move(core)), name_(name) {}

    /// Compares the block with a stored one where the service knows conditional writes (s3_core::compares).
    [[nodiscard]] awaitable<result<void>> store(std::vector<const_slice> slices, protocol::name_values metadata,
                                                deadline until) override;
    [[nodiscard]] awaitable<result<void>> store_stream(net::body_source& source, deadline until) override;
    [[nodiscard]] awaitable<result<void>> publish(protocol::name_values metadata, deadline until) override;

  private:
    [[nodiscard]] awaitable<result<void>> store_block(std::vector<const_slice> slices, deadline until);

    const std::shared_ptr<s3_core> core_;
    const md5_digest name_;
};

}  // namespace keepstore::volumes::s3
