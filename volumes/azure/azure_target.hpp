/// Writes one block to a container, by one request that carries the MD5 for the service to check. A small block does
/// not overwrite a good copy.
#pragma once

#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/compare_body.hpp"
#include "volumes/cloud/upload_target.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::volumes::azure {

class azure_target final : public cloud::upload_target {
  public:
    azure_target(std::shared_ptr<azure_core> core, md5_digest name) : core_(std::move(core)), name_(name) {}

    /// An equal copy that is there, in the trash as well, is touched and taken out of the trash; a corrupt one is
    /// replaced; a different block with this MD5 is errc::collision. One request if there is no copy. Where blocks are
    /// not compared (azure_core::compares), one request in any case.
    [[nodiscard]] awaitable<result<void>> store(std::vector<const_slice> slices, protocol::name_values metadata,
                                                deadline until) override;
    [[nodiscard]] awaitable<result<void>> store_stream(net::body_source& source, deadline until) override;
    /// Adds the metadata, which are known at the end of a stream only, by a request of their own.
    [[nodiscard]] awaitable<result<void>> publish(protocol::name_values metadata, deadline until) override;

  private:
    struct stored_blob {
        cloud::stored_copy what;
        protocol::object_info info;
    };
    [[nodiscard]] awaitable<result<std::optional<stored_blob>>> look(const std::vector<const_slice>& slices,
                                                                     deadline until);

    const std::shared_ptr<azure_core> core_;
    const md5_digest name_;
    std::string etag_;  ///< Of what store_stream() has stored.
};

}  // namespace keepstore::volumes::azure
