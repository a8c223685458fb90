#include "volumes/s3/s3_volume.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "s3/credential_sources.hpp"
#include "volumes/s3/block_life.hpp"
#include "volumes/s3/index_scan.hpp"
#include "volumes/s3/s3_core.hpp"
#include "volumes/s3/s3_reader.hpp"
#include "volumes/s3/s3_writer.hpp"
#include "volumes/s3/trash_sweep.hpp"

#include <algorithm>

namespace keepstore::volumes {
namespace {

using namespace s3;

bool is_hex(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

result<void> without_value(result<bool> outcome) {
    if (!outcome) return std::unexpected(std::move(outcome.error()));
    return {};
}

awaitable<result<void>> probe_bucket(std::weak_ptr<s3_core> weak, deadline until) {
    const auto core = weak.lock();
    if (!core) co_return fail(errc::cancelled);
    auto page = co_await core->client.list({.keys_max = 1}, until);
    if (!page) co_return std::unexpected(std::move(page.error()));
    co_return result<void>();
}

awaitable<result<bool>> watch_bucket(std::shared_ptr<availability> watch, std::weak_ptr<s3_core> core) {
    auto probe = [core](deadline until) { return probe_bucket(core, until); };
    auto went_down = [core] {
        if (const auto locked = core.lock()) locked->loops.abort_all();
    };
    auto outcome = co_await availability::watch(std::move(watch), std::move(probe), std::move(went_down));
    if (!outcome) co_return std::unexpected(std::move(outcome.error()));
    co_return true;
}

class s3_volume final : public volume {
  public:
    explicit s3_volume(std::shared_ptr<s3_core> core)
        : core_(std::move(core)), id_("s3://" + core_->options.endpoint + "/" + core_->options.bucket) {
        const auto ignore = [](const result<bool>&) {};
        static_cast<void>(core_->loops.spawn<bool>(watch_bucket(core_->watch, core_), ignore, false));
        if (core_->options.writable) static_cast<void>(core_->loops.spawn<bool>(abort_orphan_uploads(core_), ignore));
    }

    // Readers and writers that are still there keep the core, and find that nothing runs any more.
    ~s3_volume() override { core_->loops.stop(); }

    const std::string& device_id() const noexcept override { return id_; }

    awaitable<result<std::unique_ptr<block_reader>>> open(md5_digest name, deadline until) override {
        return open_s3_reader(core_, name, until);
    }

    awaitable<result<std::unique_ptr<block_writer>>> create(md5_digest name, std::optional<std::uint64_t> size,
                                                            deadline) override {
        co_return make_s3_writer(core_, name, size);
    }

    bool compares_on_commit(std::optional<std::uint64_t> size) const override { return size && core_->compares(*size); }

    awaitable<result<void>> touch(md5_digest name, deadline until) override {
        if (auto admitted = core_->watch->admit(); !admitted) co_return admitted;
        co_return without_value(co_await core_->loops.run(touch_block(core_, name, until)));
    }

    awaitable<result<block_time>> mtime(md5_digest name, deadline until) override {
        if (auto admitted = core_->watch->admit(); !admitted) co_return std::unexpected(std::move(admitted.error()));
        co_return co_await core_->loops.run(mtime_of_block(core_, name, until));
    }

    awaitable<result<trash_outcome>> trash(md5_digest name, trash_options options, deadline until) override {
        if (auto admitted = core_->watch->admit(); !admitted) co_return std::unexpected(std::move(admitted.error()));
        co_return co_await core_->loops.run(trash_block(core_, name, options, until));
    }

    awaitable<result<void>> untrash(md5_digest name, deadline until) override {
        if (auto admitted = core_->watch->admit(); !admitted) co_return admitted;
        co_return without_value(co_await core_->loops.run(untrash_block(core_, name, until)));
    }

    awaitable<result<empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        if (auto admitted = core_->watch->admit(); !admitted) co_return std::unexpected(std::move(admitted.error()));
        co_return co_await core_->loops.run(sweep_trash(core_, concurrency, until));
    }

    awaitable<result<void>> index(std::string prefix, index_sink& sink, deadline until) override {
        if (prefix.size() > 32 || !is_hex(prefix)) co_return result<void>();
        if (auto admitted = core_->watch->admit(); !admitted) co_return admitted;
        const auto scan = std::make_shared<index_scan>(core_, std::move(prefix), until, core_->options.parallel_index);
        const struct stopper {
            index_scan& owner;
            ~stopper() { owner.stop(); }
        } stop_at_end{*scan};
        scan->start();
        while (true) {
            const auto batch = co_await scan->next();
            if (!batch) co_return std::unexpected(batch.error());
            if (batch->empty()) co_return result<void>();
            auto taken = co_await sink.put(*batch);
            if (!taken) co_return taken;
        }
    }

    volume_stats stats() const override {
        auto known = core_->client.stats();
        volume_stats out;
        out.operations = std::move(known.operations);
        out.errors = std::move(known.errors);
        // "It is there already" is an answer that was asked for.
        std::erase_if(out.errors, [](const auto& entry) { return entry.first.find(" 412 ") != std::string::npos; });
        out.bytes_in = known.bytes_in;
        out.bytes_out = known.bytes_out;
        return out;
    }

    std::string health() const override { return core_->watch->health(); }

  private:
    const std::shared_ptr<s3_core> core_;
    const std::string id_;
};

}  // namespace

result<std::unique_ptr<volume>> open_s3_volume(s3_options options) {
    keepstore::s3::credentials_config keys;
    keys.access_key_id = options.access_key_id;
    keys.secret_access_key = options.secret_access_key;
    keys.region = options.region;
    keys.ca_file = options.ca_file;
    auto credentials = keepstore::s3::make_credentials(std::move(keys));
    if (!credentials) return std::unexpected(std::move(credentials.error()));
    keepstore::s3::client_options how;
    how.endpoint = options.endpoint;
    how.region = options.region;
    how.bucket = options.bucket;
    how.path_style = options.use_path_style;
    how.connect_timeout = options.connect_timeout;
    how.read_timeout = options.read_timeout;
    how.connections_max = limits::s3_volume_connections_max;
    // A streamed PUT cannot be sent again: the service says first whether it takes it now.
    how.expect_continue_bytes_min = limits::write_at_once_bytes_max + 1;
    how.ca_file = options.ca_file;
    how.tls_insecure = options.tls_insecure;
    auto client = keepstore::s3::client::make(std::move(how), std::move(*credentials));
    if (!client) return std::unexpected(std::move(client.error()));
    return std::make_unique<s3_volume>(std::make_shared<s3_core>(std::move(options), std::move(*client)));
}

}  // namespace keepstore::volumes
