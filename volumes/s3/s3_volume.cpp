#include "volumes/s3/s3_volume.hpp"

#include "base/hex.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "volumes/s3/access.hpp"
#include "volumes/s3/lifecycle.hpp"
#include "volumes/s3/index_scan.hpp"
#include "volumes/s3/s3_core.hpp"
#include "volumes/s3/s3_reader.hpp"
#include "volumes/s3/s3_writer.hpp"
#include "volumes/s3/trash_sweep.hpp"

#include <algorithm>

namespace keepstore::volumes {
namespace {

using namespace s3;

result<void> without_value(result<bool> outcome) {
    if (!outcome) return std::unexpected(std::move(outcome.error()));
    return {};
}

// An object that nobody takes for a block, with which is tried what a bucket allows that may not be listed. It stays:
// other servers may be trying just now, and deleting may not be allowed.
constexpr std::string_view trial_key = "keepstore-probe/access";

// Keys may be allowed to write and read, and not to list: such a volume is of use. That they may has to be tried,
// because S3 answers an object that is not there in the same way then. Where nothing is written requests have to show
// it.
awaitable<result<std::string>> probe_unlisted(s3_core& core, error refused, deadline until) {
    if (core.options.writable) {
        auto stored = co_await core.client.put(std::string(trial_key), {}, {}, until);
        if (!stored) co_return std::unexpected(std::move(stored.error()));
        auto there = co_await core.client.head(std::string(trial_key), until);
        if (!there) co_return std::unexpected(std::move(there.error()));
    }
    co_return std::move(refused.text);
}

awaitable<result<std::string>> probe_bucket(std::weak_ptr<s3_core> weak, deadline until) {
    const auto core = weak.lock();
    if (!core) co_return fail(errc::cancelled);
    auto page = co_await core->client.list({.keys_max = 1}, until);
    if (page) co_return std::string();
    if (kind_of(page.error()) != error_kind::access_denied) co_return std::unexpected(std::move(page.error()));
    co_return co_await probe_unlisted(*core, std::move(page.error()), until);
}

using watch_type = awaitable<result<void>> (*)(std::shared_ptr<availability>, availability::probe_type,
                                               std::function<void()>);

awaitable<result<bool>> watch_bucket(watch_type how, std::shared_ptr<availability> watch, std::weak_ptr<s3_core> core) {
    auto probe = [core](deadline until) { return probe_bucket(core, until); };
    auto went_down = [core] {
        if (const auto locked = core.lock()) locked->loops.abort_all();
    };
    auto outcome = co_await how(std::move(watch), std::move(probe), std::move(went_down));
    if (!outcome) co_return std::unexpected(std::move(outcome.error()));
    co_return true;
}

class s3_volume final : public volume {
  public:
    explicit s3_volume(std::shared_ptr<s3_core> core)
        : core_(std::move(core)), id_("s3://" + core_->options.endpoint + "/" + core_->options.bucket) {
        const auto ignore = [](const result<bool>&) {};
        for (const auto how : {availability::watch, availability::watch_patiently}) {
            static_cast<void>(core_->loops.spawn<bool>(watch_bucket(how, core_->watch, core_), ignore, false));
        }
        if (core_->options.writable) static_cast<void>(core_->loops.spawn<bool>(abort_orphan_uploads(core_), ignore));
    }

    // Readers and writers that are still there keep the core, and find that nothing runs any more.
    ~s3_volume() override { core_->loops.stop(); }

    const std::string& device_id() const noexcept override { return id_; }

    awaitable<result<std::unique_ptr<block_reader>>> open(md5_digest name, deadline until) override {
        return open_s3_reader(core_, name, {}, until);
    }

    awaitable<result<std::unique_ptr<block_reader>>> open_for(md5_digest name, open_hint hint,
                                                              deadline until) override {
        return open_s3_reader(core_, name, std::move(hint), until);
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
        auto swept = co_await core_->loops.run(sweep_trash(core_, concurrency, until));
        if (!swept || !core_->options.writable) co_return swept;
        // What a killed daemon left is too young at its restart, and the next start may be months away.
        auto aborted = co_await core_->loops.run(abort_orphan_uploads(core_));
        if (!aborted && aborted.error() == errc::cancelled) co_return std::unexpected(std::move(aborted.error()));
        co_return swept;
    }

    awaitable<result<void>> index(std::string prefix, index_sink& sink, deadline until) override {
        if (prefix.size() > 32 || !is_lower_hex(prefix)) co_return result<void>();
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
        const auto& known = core_->client.stats();
        volume_stats out;
        out.operations = known.operations();
        out.errors = known.errors();
        // "It is there already" is an answer that was asked for.
        std::erase_if(out.errors, [](const auto& entry) { return entry.first.find(" 412 ") != std::string::npos; });
        out.bytes_in = known.bytes_in.value();
        out.bytes_out = known.bytes_out.value();
        return out;
    }

    std::string health() const override { return core_->watch->health(); }

  private:
    const std::shared_ptr<s3_core> core_;
    const std::string id_;
};

}  // namespace

result<std::unique_ptr<volume>> open_s3_volume(s3_options options) {
    auto access = make_access(options);
    if (!access) return std::unexpected(std::move(access.error()));
    auto client = keepstore::s3::client::make(std::move(access->client), std::move(access->keys));
    if (!client) return std::unexpected(std::move(client.error()));
    return std::make_unique<s3_volume>(std::make_shared<s3_core>(std::move(options), std::move(*client)));
}

}  // namespace keepstore::volumes
