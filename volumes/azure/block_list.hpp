/// A block that is sent in parts: uncommitted blocks of a blob (Put Block), which Put Block List makes its content.
/// Each carries its MD5 for the service to check. There is nothing to abort: the service drops uncommitted blocks after
/// a week, or when the blob is written.
#pragma once

#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/upload_target.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace keepstore::volumes::azure {

class block_list final : public cloud::part_session, public std::enable_shared_from_this<block_list> {
  public:
    block_list(std::shared_ptr<azure_core> core, md5_digest name);

    /// Sends nothing.
    [[nodiscard]] awaitable<result<void>> create(deadline until) override;
    [[nodiscard]] bool exists() const override { return exists_; }

    [[nodiscard]] std::size_t add_part() override;
    [[nodiscard]] awaitable<result<void>> send(std::size_t index, const_slice part, deadline until) override;
    [[nodiscard]] awaitable<result<void>> complete(protocol::name_values metadata, deadline until) override;
    [[nodiscard]] awaitable<result<void>> abort() override;

  private:
    [[nodiscard]] std::string id_of(std::size_t index) const;

    const std::shared_ptr<azure_core> core_;
    const md5_digest name_;
    /// Of this upload alone, so that concurrent ones of one block do not take each other's parts.
    const std::string prefix_;
    std::atomic<bool> exists_{false};

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::size_t parts_ = 0;
    bool failure_noted_ = false;  ///< For the circuit breaker: parts that fail together are one failure.
};

}  // namespace keepstore::volumes::azure
