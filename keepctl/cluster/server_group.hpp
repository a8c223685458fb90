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
        std::string mount_uuid;  ///< Lists this mount only; empty: all.
        std::string classes;     ///< Of stored blocks; empty: the servers' default.
        std::size_t copies = 1;  ///< Servers that a block is stored on.
    };
    server_group(std::string name, std::vector<keep_server> servers, options given);

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] awaitable<result<void>> connect(deadline until) override;
    [[nodiscard]] const std::vector<mount_info>& mounts() const noexcept override { return mounts_; }
    [[nodiscard]] awaitable<result<void>> list(std::string prefix, std::vector<entry>& out, listing_notes& notes,
                                               deadline until) override;
    [[nodiscard]] std::size_t sources() const noexcept override { return servers_.size(); }
    [[nodiscard]] awaitable<result<std::unique_ptr<protocol::block_source>>> open(block_id block, std::size_t number,
                                                                                  deadline until) override;
    [[nodiscard]] awaitable<result<void>> verify(block_id block, std::size_t number, deadline until) override;
    [[nodiscard]] std::size_t targets() const noexcept override { return servers_.size(); }
    [[nodiscard]] std::size_t copies_wanted() const noexcept override { return options_.copies; }
    [[nodiscard]] awaitable<result<void>> store(block_id block, std::size_t number, protocol::proven_stream& bytes,
                                                deadline until) override;

    [[nodiscard]] const std::vector<keep_server>& servers() const noexcept { return servers_; }

  private:
    struct outcome;
    [[nodiscard]] awaitable<void> connect_one(std::size_t number, std::vector<mount_info>& out, outcome& end,
                                              deadline until) const;
    [[nodiscard]] awaitable<void> list_one(std::size_t number, std::string prefix, std::vector<entry>& out,
                                           outcome& end, listing_notes& notes, deadline until) const;

    const std::string name_;
    const std::vector<keep_server> servers_;
    const options options_;
    std::vector<mount_info> mounts_;       ///< Each volume once, although several servers may serve it.
    std::vector<std::size_t> mounted_by_;  ///< For each of them the server that lists it.
};

}  // namespace keepstore::keepctl
