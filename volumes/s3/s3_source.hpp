/// Downloads of one block of a bucket: from the trash if it was trashed while it is being read, and after a race of PUT
/// or TOUCH with trash brought back first. Its metadata are those of its marker.
#pragma once

#include "volumes/cloud/object_source.hpp"
#include "volumes/s3/s3_core.hpp"
#include "volumes/s3/shared_marker.hpp"

#include <memory>
#include <optional>
#include <string>

namespace keepstore::volumes::s3 {

class s3_source final : public cloud::object_source {
  public:
    s3_source(std::shared_ptr<s3_core> core, cloud::download_target what)
        : core_(std::move(core)), what_(std::move(what)), marker_(std::make_shared<shared_marker>(core_, what_.name)) {}

    [[nodiscard]] awaitable<result<protocol::object_download>> open(std::optional<protocol::byte_range> range) override;
    [[nodiscard]] awaitable<result<protocol::object_download>> open_range(protocol::byte_range range) override;
    void prefetch_metadata() override { marker_->prefetch(); }
    [[nodiscard]] awaitable<result<protocol::name_values>> metadata(deadline until) override;

  private:
    [[nodiscard]] awaitable<result<protocol::object_download>> get(std::string key, protocol::get_options how);
    [[nodiscard]] awaitable<bool> never_marked(deadline until) const;

    const std::shared_ptr<s3_core> core_;
    const cloud::download_target what_;
    const std::shared_ptr<shared_marker> marker_;
    // Set by open(), before open_range() is called.
    std::string key_;  ///< Where the object was found.
    protocol::object_info found_;
};

}  // namespace keepstore::volumes::s3
