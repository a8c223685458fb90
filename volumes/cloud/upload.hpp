/// Sends a block of known size to the service as ONE streaming PUT, fed by a writer on any loop and sent on one of the
/// volume's. The last piece is withheld until commit, so that it never has a whole body that was not verified: dropped
/// before, the connection ends in mid-body and the service stores nothing.
///
/// Appended pieces are held until the kernel has them and no longer: a writer may hold what the pool can give without
/// being blocked by writers that wait for each other (volumes/volume.hpp). So a PUT can be sent again only until its
/// second piece was requested; long ones ask the service first (Expect: 100-continue), which reports an overload before
/// the body begins.
#pragma once

#include "base/async_condition.hpp"
#include "base/limits.hpp"
#include "net/client/http_client.hpp"
#include "volumes/cloud/volume_core.hpp"
#include "volumes/queued_bytes.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

namespace keepstore::volumes::cloud {

class upload final : public net::body_source, public std::enable_shared_from_this<upload> {
  public:
    upload(std::shared_ptr<volume_core> core, md5_digest name, std::uint64_t size);

    // --- the writer's side, any thread ---

    [[nodiscard]] awaitable<result<void>> append(const_slice bytes, deadline until);
    void set_queue_bytes(std::size_t bytes) noexcept;
    [[nodiscard]] awaitable<result<void>> commit(protocol::name_values metadata, deadline until);
    /// Copies the bytes at `offset` that are still held. \returns how many; errc::unsupported if those at `offset` are
    /// gone.
    [[nodiscard]] result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> into) const;
    void drop() noexcept;

    // --- the HTTP client's side, on the loop ---

    [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
    [[nodiscard]] awaitable<result<const_slice>> next() override;
    [[nodiscard]] bool rewind() override;

  private:
    static awaitable<result<void>> run(std::shared_ptr<upload> self, deadline until);
    [[nodiscard]] awaitable<result<void>> send_block(deadline until);
    [[nodiscard]] protocol::name_values take_metadata();
    void ended(const result<void>& outcome);

    void start(deadline until);

    // With the mutex held.
    /// \returns whether the caller must start it, without the mutex.
    [[nodiscard]] bool claim_start();
    [[nodiscard]] std::uint64_t unsent() const noexcept { return appended_ - sent_; }

    // Constant after construction.
    const std::shared_ptr<volume_core> core_;
    const md5_digest name_;
    const std::unique_ptr<upload_target> target_;
    const std::uint64_t size_;
    const bool at_once_;  ///< Small enough to wait for commit: then it can be sent again any number of times.

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::shared_ptr<loop_task> task_;
    bool started_ = false;
    bool committed_ = false;
    bool dropped_ = false;
    std::optional<error> failed_;
    protocol::name_values metadata_;
    std::size_t queue_bytes_ = limits::request_queue_bytes_max;
    std::deque<const_slice> pieces_;  ///< Those that the kernel does not have yet.
    bool handed_ = false;             ///< The HTTP client has the first of them.
    std::uint64_t sent_ = 0;          ///< Bytes before pieces_.
    std::uint64_t appended_ = 0;
    queued_bytes::part counted_;       ///< Bytes of pieces_.
    async_condition room_{mutex_};     ///< For the writer: the queue has room, or the task has ended.
    async_condition arrived_{mutex_};  ///< For the task: a piece was appended, or committed.
    one_shot<void> finished_;
};

}  // namespace keepstore::volumes::cloud
