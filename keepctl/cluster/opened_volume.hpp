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
    [[nodiscard]] const std::vector<std::string>& server_names() const noexcept override { return names_; }
    [[nodiscard]] awaitable<result<void>> check(deadline until) const override;
    [[nodiscard]] std::vector<std::uint16_t> sources(const md5_digest&) const override { return {0}; }
    [[nodiscard]] awaitable<result<std::unique_ptr<protocol::block_source>>> open(block_id block, std::size_t server,
                                                                                  deadline until) override;
    [[nodiscard]] awaitable<result<bool>> untrash(md5_digest block, deadline until) override;
    [[nodiscard]] std::int64_t replicas_wanted() const noexcept override { return 1; }
    [[nodiscard]] std::int64_t replicas_possible() const noexcept override { return 1; }
    [[nodiscard]] store_plan plan(const md5_digest& block, std::span<const entry> good) const override;
    [[nodiscard]] awaitable<result<std::int64_t>> store(block_id block, std::size_t server,
                                                        protocol::block_stream& bytes, deadline until) override;

  private:
    const std::string name_;
    const std::vector<std::string> names_;  // The same, as a list.
    const std::vector<mount_info> mounts_;
    const std::unique_ptr<volumes::volume> volume_;
};

}  // namespace keepstore::keepctl
