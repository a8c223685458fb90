#include "volumes/azure/azure_volume.hpp"

#include "base/log.hpp"
#include "volumes/azure/access.hpp"
#include "volumes/azure/azure_core.hpp"
#include "volumes/azure/index_scan.hpp"
#include "volumes/azure/lifecycle.hpp"
#include "volumes/azure/trash_sweep.hpp"
#include "volumes/cloud/cloud_volume.hpp"
#include "volumes/cloud/prober.hpp"

#include <utility>

namespace keepstore::volumes {
namespace {

using azure::azure_core;
using container_prober = cloud::prober<keepstore::azure::client>;

class azure_volume final : public cloud::cloud_volume {
  public:
    azure_volume(std::shared_ptr<azure_core> core, std::shared_ptr<container_prober> prober)
        : cloud_volume(
              core, [prober](deadline until) { return container_prober::probe(prober, until); },
              "azure://" + core->options.base_url + "/" + core->options.account + "/" + core->options.container),
          core_(std::move(core)),
          prober_(std::move(prober)) {}

    awaitable<result<void>> touch(md5_digest name, deadline until) override {
        co_return cloud::without_value(co_await run_unless_stalled(azure::touch_block(core_, name, until), until));
    }

    awaitable<result<block_time>> mtime(md5_digest name, deadline until) override {
        return run(azure::mtime_of_block(core_, name, until));
    }

    awaitable<result<trash_outcome>> trash(md5_digest name, trash_options options, deadline until) override {
        return run(azure::trash_block(core_, name, options, until));
    }

    awaitable<result<void>> untrash(md5_digest name, deadline until) override {
        co_return cloud::without_value(co_await run(azure::untrash_block(core_, name, until)));
    }

    awaitable<result<empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        return run(azure::sweep_trash(core_, concurrency, until));
    }

    volume_stats stats() const override {
        auto out = stats_of(core_->client.stats());
        out.add(stats_of(prober_->stats()));
        return out;
    }

  protected:
    std::shared_ptr<cloud::parallel_listing> make_listing(std::string digits, deadline until) override {
        return std::make_shared<azure::index_scan>(core_, std::move(digits), until);
    }

  private:
    const std::shared_ptr<azure_core> core_;
    const std::shared_ptr<container_prober> prober_;
};

// What a volume is made of that can be refused.
struct azure_parts {
    std::shared_ptr<container_prober> prober;
    keepstore::azure::client client;
};

result<azure_parts> make_azure_parts(const azure_options& options) {
    KS_TRY(auto access, azure::make_access(options));
    auto of_probes = access;
    // A probe is a listing that does not wait for a service that is too busy: such a response tells enough.
    of_probes.client.list_attempts_max = cloud::probe_attempts;
    of_probes.client.list_retry_delay = limits::cloud_retry_throttled_base;
    KS_TRY(auto prober, container_prober::make(std::move(of_probes), options.writable));
    KS_TRY(auto client, keepstore::azure::client::make(std::move(access.client), std::move(access.keys)));
    return azure_parts{.prober = std::move(prober), .client = std::move(client)};
}

}  // namespace

result<void> check_azure_volume(const azure_options& options) {
    KS_CHECK(make_azure_parts(options));
    return success();
}

result<std::unique_ptr<volume>> open_azure_volume(azure_options options) {
    KS_TRY(const auto via, azure::proxy_of(options));
    if (!via.empty()) {
        log::info("Azure requests go through a proxy", {{"container", options.container}, {"proxy", via}});
    }
    KS_TRY(auto parts, make_azure_parts(options));
    auto core = std::make_shared<azure_core>(std::move(options), std::move(parts.client));
    return std::make_unique<azure_volume>(std::move(core), std::move(parts.prober));
}

}  // namespace keepstore::volumes
