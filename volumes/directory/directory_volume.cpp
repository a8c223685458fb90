#include "volumes/directory/directory_volume.hpp"

#include "base/blocking_pool.hpp"
#include "base/hex.hpp"
#include "base/limits.hpp"
#include "volumes/directory/attributes.hpp"
#include "volumes/directory/block_calls.hpp"
#include "volumes/directory/device_id.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/directory/directory_reader.hpp"
#include "volumes/directory/directory_writer.hpp"
#include "volumes/directory/index_scan.hpp"
#include "volumes/directory/lifecycle.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/directory/probe.hpp"
#include "volumes/directory/trash_walk.hpp"
#include "volumes/directory/whole_file.hpp"
#include "volumes/limits.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

namespace keepstore::volumes {
namespace {

using namespace directory;
using work = blocking_pool::work;

// Removes left-over temp files step by step. The steps hold the pool weakly, so that they end with the volume.
void sweep_temp_files(std::weak_ptr<blocking_pool> weak, std::shared_ptr<directory_core> core,
                      std::shared_ptr<trash_walk> walk) {
    const auto more = walk->step();
    const auto pool = weak.lock();
    if (more && *more && pool && !core->stopping.load(std::memory_order_relaxed)) {
        auto next = [weak, core, walk] { sweep_temp_files(weak, core, walk); };
        static_cast<void>(pool->post(std::move(next)));
        return;
    }
    if (const auto n = walk->result_so_far().temp_files_deleted; n > 0) {
        log::info("removed left-over temp files", {{"count", n}, {"DeviceRoot", core->options.root}});
    }
}

class directory_volume final : public volume {
  public:
    directory_volume(std::shared_ptr<directory_core> core, std::string id)
        : core_(std::move(core)), id_(std::move(id)) {
        // Serialize: one thread runs one file operation at a time, and callers can leave its queue.
        threads_ = core_->options.serialize ? 1 : core_->options.threads_max;
        auto on_outcome = [weak = std::weak_ptr(core_)](work kind, const error* why) {
            const auto shared = weak.lock();
            if (shared && why) shared->health.call_failed(traffic_of(kind), *why);
        };
        pool_ = std::make_shared<blocking_pool>(
            blocking_pool::options{.name = "volume",
                                   .threads_max = threads_,
                                   .queue_max = core_->options.queue_max,
                                   .threads_for_reads = threads_ / limits::volume_threads_per_reader,
                                   .silence_max = limits::volume_silence_max,
                                   .call_max = limits::volume_call_max,
                                   .on_outcome = std::move(on_outcome)});
        probes_.emplace_back(std::make_unique<probe_thread>("probe reads", limits::volume_probe_interval,
                                                            probe_of(core_, pool_, traffic::reads)));
        if (core_->options.may_write) {
            probes_.emplace_back(std::make_unique<probe_thread>("probe writes", limits::volume_probe_interval,
                                                                probe_of(core_, pool_, traffic::writes)));
        }
        calls_ = std::make_shared<block_calls>(pool_);
        if (!core_->options.may_write) return;
        auto first = [weak = std::weak_ptr(pool_), core = core_] {
            sweep_temp_files(weak, core, std::make_shared<trash_walk>(core, trash_walk::what::temp_files));
        };
        static_cast<void>(pool_->post(std::move(first)));
    }

    ~directory_volume() override {
        core_->stopping = true;
        probes_.clear();
        pool_.reset();
        core_->run_deferred();
    }

    const std::string& device_id() const noexcept override { return id_; }

    awaitable<result<std::unique_ptr<block_reader>>> open(md5_digest name, deadline until) override {
        auto call = [name](directory_core& core, deadline) { return open_block(core, name); };
        KS_CO_TRY(auto opened, co_await run(std::move(call), until));
        co_return make_directory_reader(core_, pool_, std::move(opened.fd), opened.size);
    }

    std::optional<result<std::unique_ptr<block_reader>>> try_open(const md5_digest& name) override {
        auto opened = try_open_block(*core_, name);
        if (!opened) return std::nullopt;
        if (!*opened) return std::unexpected(opened->error());
        return make_directory_reader(core_, pool_, std::move((*opened)->fd), (*opened)->size);
    }

    // With one thread for everything a request would wait until all of them are read.
    bool can_read_whole() const noexcept override { return !core_->options.serialize; }

    awaitable<result<std::vector<result<std::uint64_t>>>> read_whole(std::vector<whole_read> blocks,
                                                                     deadline until) override {
        if (!can_read_whole()) co_return fail(errc::unsupported);
        auto call = [shared = core_, blocks = std::move(blocks)](
                        directory_core&, deadline) -> result<std::vector<result<std::uint64_t>>> {
            std::vector<result<std::uint64_t>> out;
            out.reserve(blocks.size());
            for (const auto& block : blocks) out.push_back(read_whole_file(shared, block.name, block.into.bytes));
            return out;
        };
        co_return co_await run(std::move(call), until);
    }

    awaitable<result<std::unique_ptr<block_writer>>> create(md5_digest name, std::optional<std::uint64_t> size,
                                                            deadline until) override {
        KS_CO_CHECK(may_write());
        if (core_->full.claim_refresh()) {
            auto refresh = [](directory_core& core, deadline) -> result<void> {
                KS_CHECK(core.root.ensure());
                core.full.refresh();
                return success();
            };
            KS_CO_CHECK(co_await run(std::move(refresh), until));
        }
        if (core_->health.gone()) co_return std::unexpected(gone_error());
        const auto now = pool_->activity_of(work::write);
        if (now.silence >= limits::volume_silence_max || (now.stalled() && until.ends_at_stall())) {
            co_return fail(errc::unavailable, "volume does not respond");
        }
        if (core_->full.full()) co_return fail(errc::no_space, "volume is full");
        co_return make_directory_writer(core_, pool_, name, size);
    }

    awaitable<result<void>> touch(md5_digest name, deadline until) override {
        KS_CO_CHECK(may_write());
        auto call = [core = core_, name](deadline limit) {
            core->run_deferred();
            return touch_block(*core, name, limit);
        };
        if (core_->health.gone()) co_return std::unexpected(gone_error());
        co_return co_await calls_->run_touch(name, std::move(call), until);
    }

    awaitable<result<block_time>> mtime(md5_digest name, deadline until) override {
        auto call = [name](directory_core& core, deadline) { return mtime_of_block(core, name); };
        co_return co_await run(std::move(call), until);
    }

    awaitable<result<trash_outcome>> trash(md5_digest name, trash_options options, deadline until) override {
        auto call = [name, options](directory_core& core, deadline limit) {
            return trash_block(core, name, options, limit);
        };
        co_return co_await run_in_turn(name, std::move(call), until);
    }

    awaitable<result<void>> untrash(md5_digest name, deadline until) override {
        KS_CO_CHECK(may_write());
        auto call = [name](directory_core& core, deadline limit) { return untrash_block(core, name, limit); };
        co_return co_await run_in_turn(name, std::move(call), until);
    }

    awaitable<result<empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        // At most half of the threads: the others serve requests.
        const auto workers = std::clamp(concurrency, 1U, std::max(1U, threads_ / 2));
        const auto walk = std::make_shared<trash_walk>(core_, trash_walk::what::temp_files_and_trash);
        auto step = [walk](directory_core& core, deadline) -> result<bool> {
            KS_CHECK(core.root.ensure());
            return walk->step();
        };
        std::deque<one_shot<bool>> running;
        bool more_to_do = false;
        while (true) {
            // One step per worker while there is more to do; at the end only wait for those that run.
            while (running.size() < workers && (running.empty() || more_to_do))
                running.push_back(start(step, until, work::write));
            const auto more = co_await running.front().wait();
            running.pop_front();
            if (!more) co_return std::unexpected(more.error());
            more_to_do = *more;
            if (running.empty() && walk->finished()) break;
        }
        const auto totals = walk->result_so_far();
        if (totals.temp_files_deleted > 0) {
            log::info("removed left-over temp files",
                      {{"count", totals.temp_files_deleted}, {"DeviceRoot", core_->options.root}});
        }
        co_return totals.trash;
    }

    awaitable<result<void>> index(std::string prefix, index_sink& sink, deadline until) override {
        if (!prefix.empty() && (!is_lower_hex(prefix) || prefix.size() > 32)) co_return success();
        const auto scan = std::make_shared<index_scan>(core_, std::move(prefix));
        auto step = [scan](directory_core& core, deadline) -> result<std::vector<block_info>> {
            KS_CHECK(core.root.ensure());
            return scan->step();
        };
        // A worker's next step starts before its batch goes to the sink, so that disk and client work in parallel.
        std::deque<one_shot<std::vector<block_info>>> running;
        const unsigned workers = scan->in_one_folder() ? 1 : limits::index_workers;
        for (unsigned i = 0; i < workers; ++i) running.push_back(start(step, until));
        while (!running.empty()) {
            const auto batch = co_await running.front().wait();
            running.pop_front();
            if (!batch) co_return std::unexpected(batch.error());
            if (!scan->nothing_left()) running.push_back(start(step, until));
            if (!batch->empty()) KS_CO_CHECK(co_await sink.put(*batch));
        }
        // Folders that are missing since the root is gone look like empty ones.
        auto still_there = [](directory_core& core, deadline) -> result<bool> { return core.examine_root(); };
        KS_CO_CHECK(co_await run(std::move(still_there), until));
        sink.foreign(scan->foreign());
        co_return success();
    }

    awaitable<result<std::vector<std::byte>>> load_metadata(std::string name, deadline until) override {
        auto call = [name = std::move(name)](directory_core& core, deadline) -> result<std::vector<std::byte>> {
            KS_CHECK(core.root.ensure());
            return load_attribute(core, core.root.fd(), name);
        };
        co_return co_await run(std::move(call), until);
    }

    awaitable<result<void>> save_metadata(std::string name, std::vector<std::byte> value, deadline until) override {
        KS_CO_CHECK(may_write());
        auto call = [name = std::move(name), value = std::move(value)](directory_core& core, deadline) -> result<void> {
            KS_CHECK(core.root.ensure());
            return save_attribute(core, core.root.fd(), name, value);
        };
        co_return co_await run(std::move(call), until, work::commit);
    }

    volume_stats stats() const override {
        auto out = core_->stats.snapshot();
        out.space = core_->full.space();
        return out;
    }

    volume_states state() const override {
        return {.reads = core_->health.state(traffic::reads, activity(*pool_, traffic::reads)),
                .writes = core_->health.state(traffic::writes, activity(*pool_, traffic::writes))};
    }

    std::string health() const override {
        return core_->health.text(activity(*pool_, traffic::reads), activity(*pool_, traffic::writes));
    }

  private:
    result<void> may_write() const {
        if (core_->options.may_write) return success();
        return fail(errc::unsupported, "volume is read-only");
    }
    static error gone_error() { return {errc::unavailable, "volume is not there"}; }

    template <class F>
    auto bind(F call, deadline limit) {
        return [core = core_, call = std::move(call), limit]() mutable {
            core->run_deferred();
            return call(*core, limit);
        };
    }

    template <class F, class T = std::invoke_result_t<F, directory_core&, deadline>::value_type>
    awaitable<result<T>> run(F call, deadline until, work kind = work::read) {
        if (core_->health.gone()) co_return std::unexpected(gone_error());
        co_return co_await pool_->run(bind(std::move(call), until), until, kind);
    }

    // The same for a call that locks the block.
    template <class F, class T = std::invoke_result_t<F, directory_core&, deadline>::value_type>
    awaitable<result<T>> run_in_turn(md5_digest name, F call, deadline until) {
        if (core_->health.gone()) co_return std::unexpected(gone_error());
        auto bound = [core = core_, call = std::move(call)](deadline limit) mutable {
            core->run_deferred();
            return call(*core, limit);
        };
        co_return co_await calls_->run(name, std::move(bound), until);
    }

    template <class F, class T = std::invoke_result_t<F, directory_core&, deadline>::value_type>
    one_shot<T> start(F call, deadline until, work kind = work::read) {
        if (!core_->health.gone()) return pool_->start(bind(std::move(call), until), until, kind);
        one_shot<T> refused;
        refused.set(std::unexpected(gone_error()));
        return refused;
    }

    const std::shared_ptr<directory_core> core_;
    const std::string id_;
    unsigned threads_ = 1;
    std::shared_ptr<blocking_pool> pool_;  // Shared with readers and writers.
    std::shared_ptr<block_calls> calls_;
    std::vector<std::unique_ptr<probe_thread>> probes_;
};

}  // namespace

result<void> check_directory_volume(const directory_options& options) {
    if (!options.root.starts_with('/')) {
        return fail(errc::bad_request, "DriverParameters.Root must be an absolute path");
    }
    auto opened = root_handle(options.root).open();
    if (!opened && opened.error().cause == std::errc::not_a_directory)
        return fail(errc::bad_request, "not a directory");
    return opened;
}

result<std::unique_ptr<volume>> open_directory_volume(directory_options options) {
    KS_CHECK(check_directory_volume(options));
    while (options.root.size() > 1 && options.root.ends_with('/')) options.root.pop_back();
    auto core = std::make_shared<directory_core>(std::move(options));
    KS_CHECK(core->root.open());
    if (core->options.may_write) core->full.refresh();
    static_cast<void>(core->full.measure());
    std::string id = find_device_id(core->options.root);
    return std::make_unique<directory_volume>(std::move(core), std::move(id));
}

}  // namespace keepstore::volumes
