/// A volume that the tool opens itself, as a place. Other processes may serve it at the same time: the driver's own
/// locking rules hold.
#pragma once

#include "keepctl/cluster/block_place.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <string>
#include <vector>

namespace keepstore::keepctl {

class opened_volume final : public block_place {
  public:
    opened_volume(std::string name, mount_info mount, std::unique_ptr<volumes::volume> volume);

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] awaitable<result<void>> connect(deadline until) override;
    [[nodiscard]] const std::vector<mount_info>& mounts() const noexcept override { return mounts_; }
    [[nodiscard]] awaitable<result<void>> list(std::string prefix, std::vector<entry>& out, listing_notes& notes,
                                               deadline until) override;
    [[nodiscard]] std::size_t sources() const noexcept override { return 1; }
    [[nodiscard]] awaitable<result<std::unique_ptr<protocol::block_source>>> open(block_id block, std::size_t number,
                                                                                  deadline until) override;
    [[nodiscard]] std::size_t targets() const noexcept override { return 1; }
    [[nodiscard]] std::size_t copies_wanted() const noexcept override { return 1; }
    [[nodiscard]] awaitable<result<void>> store(block_id block, std::size_t number, protocol::proven_stream& bytes,
                                                deadline until) override;

  private:
    const std::string name_;
    const std::vector<mount_info> mounts_;
    const std::unique_ptr<volumes::volume> volume_;
};

}  // namespace keepstore::keepctl
