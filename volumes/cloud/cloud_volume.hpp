/// What the volumes of all cloud services do alike: reading and writing through the shared core, the circuit breaker
/// with its probes, the index, and the state. A service's volume derives from it.
#pragma once

#include "volumes/cloud/parallel_listing.hpp"
#include "volumes/cloud/stall_guard.hpp"
#include "volumes/cloud/volume_core.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <string>
#include <utility>

namespace keepstore::volumes::cloud {

class cloud_volume : public volume {
  public:
    /// Starts the probes.
    cloud_volume(std::shared_ptr<volume_core> core, circuit_breaker::probe_type probe, std::string id);
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
    awaitable<result<void>> index(std::string prefix, index_sink& sink, deadline until) override;
    volume_states state() const override;
    std::string health() const override { return core_->breaker->health(); }

  protected:
    [[nodiscard]] virtual std::shared_ptr<parallel_listing> make_listing(std::string digits, deadline until) = 0;

    /// Runs `work` on a loop of the volume, unless the circuit breaker is open.
    template <class T>
    [[nodiscard]] awaitable<result<T>> run(awaitable<result<T>> work) {
        KS_CO_CHECK(core_->breaker->allow());
        co_return co_await core_->loops.run(std::move(work));
    }
    /// The same; ends early when the volume stalls and the caller has an alternative.
    template <class T>
    [[nodiscard]] awaitable<result<T>> run_unless_stalled(awaitable<result<T>> work, deadline until) {
        KS_CO_CHECK(core_->breaker->allow());
        co_return co_await unless_stalled(core_->breaker, until, core_->loops.run(std::move(work)));
    }

    /// The counters of a client.
    [[nodiscard]] volume_stats stats_of(const protocol::op_stats& client) const;

  private:
    const std::shared_ptr<volume_core> core_;
    const std::string id_;
};

/// For tasks that return whether they did something, which their caller does not need to know.
[[nodiscard]] result<void> without_value(result<bool> outcome);

}  // namespace keepstore::volumes::cloud
