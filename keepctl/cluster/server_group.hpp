/// One or more servers as a place: a block is read from the first that has a good copy, in probe order, and stored on
/// the first that take it.
#pragma once

#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/keep_server.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace keepstore::keepctl {

class server_group final : public block_place {
  public:
    struct options {
        std::string mount_uuid;   ///< Lists this mount only; empty: all.
        std::string classes;      ///< Of stored blocks; empty: the servers' default.
        std::int64_t copies = 1;  ///< Replicas that a block should have, on distinct devices.
        bool by_class = false;    ///< Only copies on mounts that offer `classes` count.
    };
    server_group(std::string name, std::vector<keep_server> servers, options given, listing_loops& loops);

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] awaitable<result<void>> connect(deadline until) override;
    [[nodiscard]] const std::vector<mount_info>& mounts() const noexcept override { return mounts_; }
    [[nodiscard]] awaitable<result<void>> list(std::string prefix, std::vector<entry>& out, listing_notes& notes,
                                               deadline until) override;
    [[nodiscard]] const std::vector<std::string>& server_names() const noexcept override { return names_; }
    [[nodiscard]] awaitable<result<void>> check(deadline until) const override;
    [[nodiscard]] awaitable<std::vector<server_traits>> traits(deadline until) const override;
    [[nodiscard]] std::vector<std::uint16_t> sources(const md5_digest& block) const override;
    [[nodiscard]] awaitable<result<std::unique_ptr<protocol::block_source>>> open(block_id block, std::size_t server,
                                                                                  deadline until) override;
    [[nodiscard]] awaitable<result<void>> verify(block_id block, std::size_t server, deadline until) override;
    [[nodiscard]] awaitable<result<bool>> untrash(md5_digest block, deadline until) override;
    [[nodiscard]] std::int64_t replicas_wanted() const noexcept override { return options_.copies; }
    [[nodiscard]] std::int64_t replicas_possible() const noexcept override;
    [[nodiscard]] store_plan plan(const md5_digest& block, std::span<const entry> good) const override;
    [[nodiscard]] bool proves_stored() const noexcept override { return true; }
    [[nodiscard]] awaitable<result<std::int64_t>> store(block_id block, std::size_t server,
                                                        protocol::block_stream& bytes, deadline until) override;

    [[nodiscard]] const std::vector<keep_server>& servers() const noexcept { return servers_; }

  private:
    [[nodiscard]] static awaitable<result<void>> gather(std::vector<std::vector<entry>> from, std::vector<entry>& into);

    /// Devices of mounts, numbered. A device is counted once, through however many servers and mounts it is seen.
    struct device {
        std::string id;
        std::int64_t replication = 1;
        std::vector<bool> counts_for = {};  ///< For each of classes_.
    };
    void find_devices(const std::vector<result<mounts_response>>& found);
    std::size_t device_number(const mount_info& mount);
    [[nodiscard]] std::int64_t replicas_of(std::span<const entry> good, std::size_t number_of_class) const;

    const std::string name_;
    const std::vector<keep_server> servers_;
    const options options_;
    listing_loops& loops_;
    std::vector<std::string> names_;       ///< URLs of the servers.
    std::vector<std::string> classes_;     ///< Those whose copies are counted apart; one empty name: all.
    std::vector<mount_info> mounts_;       ///< Each volume once, although several servers may serve it.
    std::vector<std::size_t> mounted_by_;  ///< For each of them the server that lists it,
    std::vector<std::size_t> device_of_;   ///< and its device.
    std::vector<device> devices_;
    std::size_t listed_most_ = 0;  ///< Entries of a mount in the last listing: about those of the next one.
    std::vector<std::vector<std::size_t>> writable_;  ///< For each server the devices that it may store blocks on.
};

}  // namespace keepstore::keepctl
