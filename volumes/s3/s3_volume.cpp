#include "volumes/s3/s3_volume.hpp"

#include "base/hex.hpp"
#include "base/log.hpp"
#include "volumes/cloud/cloud_reader.hpp"
#include "volumes/cloud/cloud_writer.hpp"
#include "volumes/cloud/parallel_listing.hpp"
#include "volumes/cloud/stall_guard.hpp"
#include "volumes/s3/access.hpp"
#include "volumes/s3/bucket_prober.hpp"
#include "volumes/s3/lifecycle.hpp"
#include "volumes/s3/s3_core.hpp"
#include "volumes/s3/trash_sweep.hpp"

#include <algorithm>
#include <map>

namespace keepstore::volumes {
namespace {

using namespace s3;

result<void> without_value(result<bool> outcome) {
    KS_CHECK(std::move(outcome));
    return success();
}

using monitor_type = awaitable<result<void>> (*)(std::shared_ptr<circuit_breaker>, circuit_breaker::probe_type,
                                                 std::function<void()>);

awaitable<result<bool>> run_monitor(monitor_type monitor, std::shared_ptr<bucket_prober> prober,
                                    std::shared_ptr<circuit_breaker> breaker, std::weak_ptr<s3_core> core) {
    auto probe = [prober](deadline until) { return bucket_prober::probe(prober, until); };
    auto opened = [core] {
        if (const auto locked = core.lock()) locked->loops.abort_all();
    };
    KS_CO_CHECK(co_await monitor(std::move(breaker), std::move(probe), std::move(opened)));
    co_return true;
}

volume_stats stats_of(const keepstore::s3::op_stats& from) {
    volume_stats out{.operations = from.operations(),
                     .errors = from.errors(),
                     .bytes_in = from.bytes_in.value(),
                     .bytes_out = from.bytes_out.value()};
    for (const auto& counts : {out.operations, from.other_operations()}) {
        for (const auto& [operation, n] : counts)
            out.own.push_back({"keepstore_s3_requests_total", "Requests to S3, retries included, by operation",
                               "operation", operation, n});
    }
    from.for_each([&](const counter& c) {
        out.own.push_back({std::string(c.name()), std::string(c.help()), "", "", c.value()});
    });
    return out;
}

class s3_volume final : public volume {
  public:
    s3_volume(std::shared_ptr<s3_core> core, std::shared_ptr<bucket_prober> prober)
        : core_(std::move(core)),
          prober_(std::move(prober)),
          id_("s3://" + core_->options.endpoint + "/" + core_->options.bucket) {
        const auto ignore = [](const result<bool>&) {};
        for (const auto monitor : {circuit_breaker::monitor, circuit_breaker::monitor_slowly}) {
            static_cast<void>(
                core_->loops.spawn<bool>(run_monitor(monitor, prober_, core_->breaker, core_), ignore, false));
        }
        if (core_->options.writable) static_cast<void>(core_->loops.spawn<bool>(abort_orphan_uploads(core_), ignore));
    }

    // Readers and writers that still exist keep the core, and their calls fail from now on.
    ~s3_volume() override { core_->loops.stop(); }

    const std::string& device_id() const noexcept override { return id_; }

    awaitable<result<std::unique_ptr<block_reader>>> open(md5_digest name, deadline until) override {
        return unless_stalled(core_->breaker, until, open_s3_reader(core_, name, {}, until));
    }

    awaitable<result<std::unique_ptr<block_reader>>> open_for(md5_digest name, open_hint hint,
                                                              deadline until) override {
        return unless_stalled(core_->breaker, until, open_s3_reader(core_, name, std::move(hint), until));
    }

    awaitable<result<std::unique_ptr<block_writer>>> create(md5_digest name, std::optional<std::uint64_t> size,
                                                            deadline) override {
        co_return make_s3_writer(core_, name, size);
    }

    bool compares_on_commit(std::optional<std::uint64_t> size) const override { return size && core_->compares(*size); }

    awaitable<result<void>> touch(md5_digest name, deadline until) override {
        KS_CO_CHECK(core_->breaker->allow());
        co_return without_value(
            co_await unless_stalled(core_->breaker, until, core_->loops.run(touch_block(core_, name, until))));
    }

    awaitable<result<block_time>> mtime(md5_digest name, deadline until) override {
        KS_CO_CHECK(core_->breaker->allow());
        co_return co_await core_->loops.run(mtime_of_block(core_, name, until));
    }

    awaitable<result<trash_outcome>> trash(md5_digest name, trash_options options, deadline until) override {
        KS_CO_CHECK(core_->breaker->allow());
        co_return co_await core_->loops.run(trash_block(core_, name, options, until));
    }

    awaitable<result<void>> untrash(md5_digest name, deadline until) override {
        KS_CO_CHECK(core_->breaker->allow());
        co_return without_value(co_await core_->loops.run(untrash_block(core_, name, until)));
    }

    awaitable<result<empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        KS_CO_CHECK(core_->breaker->allow());
        auto swept = co_await core_->loops.run(sweep_trash(core_, concurrency, until));
        if (!swept || !core_->options.writable) co_return swept;
        // Uploads of a killed daemon are too young to be aborted at its restart, and the next start may be months away.
        auto aborted = co_await core_->loops.run(abort_orphan_uploads(core_));
        if (!aborted && aborted.error() == errc::cancelled) co_return std::unexpected(std::move(aborted.error()));
        co_return swept;
    }

    awaitable<result<void>> index(std::string prefix, index_sink& sink, deadline until) override {
        if (prefix.size() > 32 || !is_lower_hex(prefix)) co_return success();
        KS_CO_CHECK(core_->breaker->allow());
        const auto scan = std::make_shared<index_scan>(core_, std::move(prefix), until, core_->options.parallel_index);
        const struct stopper {
            index_scan& owner;
            ~stopper() { owner.stop(); }
        } stop_at_end{*scan};
        scan->start();
        while (true) {
            KS_CO_TRY(const auto batch, co_await scan->next());
            if (batch.empty()) co_return success();
            KS_CO_CHECK(co_await sink.put(batch));
        }
    }

    volume_stats stats() const override {
        volume_stats out = stats_of(core_->client.stats());
        out.add(stats_of(prober_->stats()));
        // A precondition that does not hold is the result of a comparison, and no failure.
        std::erase_if(out.errors, [](const auto& entry) { return entry.first.find(" 412 ") != std::string::npos; });
        return out;
    }

    volume_states state() const override {
        const auto now = core_->breaker->volume_health();
        return {.reads = now, .writes = now};
    }

    std::string health() const override { return core_->breaker->health(); }

  private:
    const std::shared_ptr<s3_core> core_;
    const std::shared_ptr<bucket_prober> prober_;
    const std::string id_;
};

// What a volume is made of that can be refused.
struct s3_parts {
    std::shared_ptr<bucket_prober> prober;
    keepstore::s3::client client;
};

result<s3_parts> make_parts(const s3_options& options) {
    KS_TRY(auto access, make_access(options));
    KS_TRY(const auto via, proxy_of(options));
    if (!via.empty()) log::info("S3 requests go through a proxy", {{"bucket", options.bucket}, {"proxy", via}});
    KS_TRY(auto prober, bucket_prober::make(access, options.writable));
    KS_TRY(auto client, keepstore::s3::client::make(std::move(access.client), std::move(access.keys)));
    return s3_parts{.prober = std::move(prober), .client = std::move(client)};
}

}  // namespace

result<void> check_s3_volume(const s3_options& options) {
    KS_CHECK(make_parts(options));
    return success();
}

result<std::unique_ptr<volume>> open_s3_volume(s3_options options) {
    KS_TRY(auto parts, make_parts(options));
    auto core = std::make_shared<s3_core>(std::move(options), std::move(parts.client));
    return std::make_unique<s3_volume>(std::move(core), std::move(parts.prober));
}

}  // namespace keepstore::volumes
