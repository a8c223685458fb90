#include "volumes/s3/s3_volume.hpp"

#include "base/log.hpp"
#include "volumes/cloud/cloud_volume.hpp"
#include "volumes/cloud/prober.hpp"
#include "volumes/s3/access.hpp"
#include "volumes/s3/index_scan.hpp"
#include "volumes/s3/lifecycle.hpp"
#include "volumes/s3/s3_core.hpp"
#include "volumes/s3/trash_sweep.hpp"

#include <algorithm>
#include <map>

namespace keepstore::volumes {
namespace {

using namespace s3;
using cloud::without_value;
using bucket_prober = cloud::prober<keepstore::s3::client>;

class s3_volume final : public cloud::cloud_volume {
  public:
    s3_volume(std::shared_ptr<s3_core> core, std::shared_ptr<bucket_prober> prober)
        : cloud_volume(
              core, [prober](deadline until) { return bucket_prober::probe(prober, until); },
              "s3://" + core->options.endpoint + "/" + core->options.bucket),
          core_(std::move(core)),
          prober_(std::move(prober)) {
        const auto ignore = [](const result<bool>&) {};
        if (core_->options.writable) static_cast<void>(core_->loops.spawn<bool>(abort_orphan_uploads(core_), ignore));
    }

    awaitable<result<void>> touch(md5_digest name, deadline until) override {
        co_return without_value(co_await run_unless_stalled(touch_block(core_, name, until), until));
    }

    awaitable<result<block_time>> mtime(md5_digest name, deadline until) override {
        return run(mtime_of_block(core_, name, until));
    }

    awaitable<result<trash_outcome>> trash(md5_digest name, trash_options options, deadline until) override {
        return run(trash_block(core_, name, options, until));
    }

    awaitable<result<void>> untrash(md5_digest name, deadline until) override {
        co_return without_value(co_await run(untrash_block(core_, name, until)));
    }

    awaitable<result<empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        auto swept = co_await run(sweep_trash(core_, concurrency, until));
        if (!swept || !core_->options.writable) co_return swept;
        // Uploads of a killed daemon are too young to be aborted at its restart, and the next start may be months away.
        auto aborted = co_await core_->loops.run(abort_orphan_uploads(core_));
        if (!aborted && aborted.error() == errc::cancelled) co_return std::unexpected(std::move(aborted.error()));
        co_return swept;
    }

    volume_stats stats() const override {
        auto out = stats_of(core_->client.stats());
        out.add(stats_of(prober_->stats()));
        return out;
    }

  protected:
    std::shared_ptr<cloud::parallel_listing> make_listing(std::string digits, deadline until) override {
        return std::make_shared<index_scan>(core_, std::move(digits), until);
    }

  private:
    const std::shared_ptr<s3_core> core_;
    const std::shared_ptr<bucket_prober> prober_;
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
