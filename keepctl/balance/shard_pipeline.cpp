#include "keepctl/balance/shard_pipeline.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <ctime>
#include <utility>

namespace keepstore::keepctl::balance {
namespace {

std::chrono::nanoseconds thread_cpu_time() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

/// A shard, and memory that is used for one after the other. It belongs to a thread from begin() until `ended` is set.
struct shard_pipeline::work {
    work(const cluster& all, const plan_options& options) : listed(all.devices.size()), planner(all, options) {}

    listings listed;
    shard_planner planner;
    std::string prefix = {};
    std::vector<entry> sorted = {};
    shard_plan planned = {};
    std::chrono::nanoseconds decide_time{0};
    result<void> end = success();
    std::exception_ptr thrown = {};
    one_shot<std::monostate> ended = {};
};

shard_pipeline::shard_pipeline(const cluster& all, planner& into, const reference_spool* spool, unsigned threads,
                               joined_function joined)
    : all_(all), plan_(into), spool_(spool), joined_(std::move(joined)), threads_(threads) {
    for (std::size_t i = 0; i < threads + limits::balance_shards_listed_max; ++i) {
        works_.push_back(std::make_unique<work>(all_, plan_.options()));
        free_.push_back(works_.back().get());
    }
}

shard_pipeline::~shard_pipeline() {
    threads_.join();
}

awaitable<shard_pipeline::listings*> shard_pipeline::next() {
    if (free_.empty() && !co_await join_oldest()) co_return nullptr;
    work* const taken = free_.front();
    free_.pop_front();
    co_return &taken->listed;
}

shard_pipeline::work* shard_pipeline::find(const listings* place) const {
    return std::ranges::find_if(works_, [&](const auto& w) { return &w->listed == place; })->get();
}

void shard_pipeline::give_back(const listings* place) {
    free_.push_back(find(place));
}

void shard_pipeline::begin(const listings* place, std::string prefix) {
    work& w = *find(place);
    in_progress_.push_back(&w);
    w.prefix = std::move(prefix);
    w.planned = plan_.begin_shard();
    w.ended = {};
    asio::post(threads_, [this, &w, ended = w.ended] {
        try {
            plan(w);
        } catch (...) {
            w.thrown = std::current_exception();
        }
        ended.set(std::monostate{});
    });
}

// On a thread.
void shard_pipeline::plan(work& w) const {
    merge_listings(w.listed, w.sorted);
    std::vector<reference> references;
    w.end = success();
    if (spool_) {
        auto loaded = spool_->load(w.prefix);
        if (!loaded) {
            w.end = std::unexpected(std::move(loaded.error()));
            return;
        }
        references = std::move(*loaded);
    }
    const auto before = thread_cpu_time();
    w.planner.plan(w.sorted, references, w.planned);
    w.decide_time = thread_cpu_time() - before;
}

awaitable<bool> shard_pipeline::join_oldest() {
    work& w = *in_progress_.front();
    if (!co_await w.ended.wait()) co_return false;
    in_progress_.pop_front();
    free_.push_back(&w);
    if (w.thrown) std::rethrow_exception(std::exchange(w.thrown, nullptr));
    if (w.end) {
        plan_.join(w.planned);
        decide_time_ += w.decide_time;
    }
    joined_(std::move(w.end));
    co_return true;
}

awaitable<bool> shard_pipeline::finish() {
    while (!in_progress_.empty()) {
        if (!co_await join_oldest()) co_return false;
    }
    co_return true;
}

}  // namespace keepstore::keepctl::balance
