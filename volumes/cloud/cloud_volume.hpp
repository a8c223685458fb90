/// A volume in the cloud: calls the shared core, which makes the requests of one service, on the loops of the volume,
/// guarded by the circuit breaker with its probes.
#pragma once

#include "volumes/cloud/stall_guard.hpp"
#include "volumes/cloud/volume_core.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <string>
#include <utility>

namespace keepstore::volumes::cloud {

class cloud_volume final : public volume {
  public:
    struct probing {
        circuit_breaker::probe_type probe;
        std::shared_ptr<const protocol::op_stats> stats;  ///< Of its requests.
    };
    /// Starts the probes.
    cloud_volume(std::shared_ptr<volume_core> core, probing probes, std::string id);
    /// Readers and writers that still exist keep the core, and their calls fail from now on.
    ~cloud_volume() override { core_->loops.stop(); }
    cloud_volume(const cloud_volume&) = delete;
    cloud_volume& operator=(const cloud_volume&) = delete;

    const std::string& device_id() const noexcept override { return id_; }
    awaitable<result<std::unique_ptr<block_reader>>> open(md5_digest name, deadline until) override;
    awaitable<result<std::unique_ptr<block_reader>>> open_for(md5_digest name, open_hint hint, deadline until) override;
    awaitable<result<std::unique_ptr<block_writer>>> create(md5_digest name, std::optional<std::uint64_t> size,
                                                            deadline) override;
    bool compares_on_commit(std::optional<std::uint64_t> size) const override { return size && core_->compares(*size); }
    awaitable<result<void>> touch(md5_digest name, deadline until) override;
    awaitable<result<block_time>> mtime(md5_digest name, deadline until) override {
        return run(core_->mtime(name, until));
    }
    awaitable<result<trash_outcome>> trash(md5_digest name, trash_options options, deadline until) override {
        return run(core_->trash(name, options, until));
    }
    awaitable<result<void>> untrash(md5_digest name, deadline until) override {
        return run(core_->untrash(name, until));
    }
    awaitable<result<empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        return run(core_->empty_trash(concurrency, until));
    }
    awaitable<result<void>> index(std::string prefix, index_sink& sink, deadline until) override;
    volume_stats stats() const override;
    volume_states state() const override;
    std::string health() const override { return core_->breaker->health(); }

  private:
    /// Runs `work` on a loop of the volume, unless the circuit breaker is open.
    template <class T>
    [[nodiscard]] awaitable<result<T>> run(awaitable<result<T>> work) {
        KS_CO_CHECK(core_->breaker->allow());
        co_return co_await core_->loops.run(std::move(work));
    }

    const std::shared_ptr<volume_core> core_;
    const std::shared_ptr<const protocol::op_stats> probe_stats_;
    const std::string id_;
};

}  // namespace keepstore::volumes::cloud
