#include "volumes/s3/shared_download.hpp"

#include "base/limits.hpp"
#include "volumes/s3/s3_core.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <ranges>
#include <utility>

namespace keepstore::volumes::s3 {
namespace {

void wake(const std::vector<one_shot<bool>>& all) {
    for (const auto& one : all) one.set(true);
}
void wake(const std::optional<one_shot<bool>>& one) {
    if (one) one->set(true);
}

}  // namespace

bool range_is_at_fault(const error& why) {
    const auto kind = kind_of(why);
    return kind == error_kind::invalid_range || kind == error_kind::unsupported || kind == error_kind::invalid;
}

fetch::fetch(std::shared_ptr<s3_core> core, fetch_target what) : core_(std::move(core)), what_(std::move(what)) {
    next_ = what_.offset;
}

unsigned fetch::start() {
    const auto self = shared_from_this();
    {
        const std::lock_guard lock(mutex_);
        readers_.emplace(0, what_.offset);
        next_reader_ = 1;
    }
    auto task = core_->loops.spawn<bool>(run(self), [self](const result<bool>& outcome) { self->ended(outcome); });
    bool left = false;
    {
        const std::lock_guard lock(mutex_);
        left = over_ && readers_.empty();
        task_ = std::move(task);
    }
    if (left) task_->cancel();
    return 0;
}

std::optional<unsigned> fetch::join() {
    const std::lock_guard lock(mutex_);
    if (over_ || failed_) return std::nullopt;
    if (!pieces_.empty() ? pieces_.front().offset != what_.offset : next_ != what_.offset) return std::nullopt;
    readers_.emplace(next_reader_, what_.offset);
    return next_reader_++;
}

void fetch::leave(unsigned reader) {
    std::shared_ptr<loop_task> task;
    {
        const std::lock_guard lock(mutex_);
        readers_.erase(reader);
        if (!readers_.empty()) return;
        over_ = true;
        pieces_.clear();
        task = task_;
    }
    core_->fetches.remove(what_.name, this);
    if (task) task->cancel();
}

awaitable<result<protocol::object_info>> fetch::opened(deadline until) {
    const auto self = shared_from_this();
    one_shot<bool> ready;
    {
        const std::lock_guard lock(mutex_);
        if (info_) co_return *info_;
        if (failed_) co_return std::unexpected(*failed_);
        openers_.push_back(ready);
    }
    auto woken = co_await wait_until(ready, until);
    if (!woken) co_return std::unexpected(std::move(woken.error()));
    const std::lock_guard lock(mutex_);
    if (info_) co_return *info_;
    co_return std::unexpected(failed_ ? *failed_ : error(errc::io_error));
}

awaitable<result<fetch::piece>> fetch::read(unsigned reader, std::uint64_t offset, std::size_t want, deadline until) {
    const auto self = shared_from_this();
    {
        const std::lock_guard lock(mutex_);
        reading_.insert(offset);
    }
    auto outcome = co_await wait_for(reader, offset, want, until);
    std::optional<one_shot<bool>> sleeper;
    {
        const std::lock_guard lock(mutex_);
        reading_.erase(reading_.find(offset));
        // What this read kept from being dropped may be what the task waits for.
        sleeper = take_sleeper();
    }
    wake(sleeper);
    co_return outcome;
}

awaitable<result<fetch::piece>> fetch::wait_for(unsigned reader, std::uint64_t offset, std::size_t want,
                                                deadline until) {
    while (true) {
        one_shot<bool> ready;
        std::optional<one_shot<bool>> sleeper;
        {
            const std::lock_guard lock(mutex_);
            if (auto found = look(reader, offset, want)) co_return std::move(*found);
            if (failed_) co_return std::unexpected(*failed_);
            waiters_.push_back({offset, ready});
            sleeper = take_sleeper();
        }
        wake(sleeper);
        auto woken = co_await wait_until(ready, until);
        if (woken) continue;
        // Nobody waits there any more: the task must not go on for it.
        const std::lock_guard lock(mutex_);
        std::erase_if(waiters_, [&](const waiter& w) { return w.ready.same_as(ready); });
        co_return std::unexpected(std::move(woken.error()));
    }
}

std::optional<fetch::piece> fetch::try_read(unsigned reader, std::uint64_t offset, std::size_t want) {
    std::optional<one_shot<bool>> sleeper;
    std::optional<piece> found;
    {
        const std::lock_guard lock(mutex_);
        found = look(reader, offset, want);
        sleeper = take_sleeper();
    }
    wake(sleeper);
    return found;
}

void fetch::ask_for_marker() {
    {
        const std::lock_guard lock(mutex_);
        if (marker_ || marker_asked_) return;
        marker_asked_ = true;
    }
    // Not ended with whoever asked first: the others wait for it, too.
    const auto self = shared_from_this();
    auto all = [self](const result<protocol::object_info>& got) {
        std::vector<one_shot<protocol::object_info>> waiting;
        {
            const std::lock_guard lock(self->mutex_);
            self->marker_asked_ = false;
            if (got || got.error() == errc::not_found) self->marker_ = got;
            waiting = std::exchange(self->marker_wanted_, {});
        }
        for (const auto& one : waiting) one.set(got);
    };
    auto ask = core_->head(core_->names.recent(what_.name), deadline::in(limits::s3_call_timeout));
    static_cast<void>(core_->loops.spawn<protocol::object_info>(std::move(ask), std::move(all)));
}

awaitable<result<protocol::object_info>> fetch::marker(deadline until) {
    const auto self = shared_from_this();
    one_shot<protocol::object_info> ready;
    bool asked = false;
    {
        const std::lock_guard lock(mutex_);
        if (marker_) co_return *marker_;
        marker_wanted_.push_back(ready);
        asked = marker_asked_;
    }
    if (!asked) ask_for_marker();
    co_return co_await wait_until(ready, until);
}

void fetch::shed(bool also_shared) {
    std::vector<const_slice> dropped;  // Given back without the lock.
    const std::lock_guard lock(mutex_);
    if (readers_.empty() || (readers_.size() > 1 && !also_shared)) return;
    const auto slowest = std::ranges::min(readers_ | std::views::values);
    for (const auto& old : pieces_) {
        if (old.end() > slowest) break;
        dropped.push_back(old.bytes);
    }
    drop_front(slowest);
}

void fetch::expect_nobody_else() {
    const std::lock_guard lock(mutex_);
    keeps_for_newcomers_ = false;
}

std::optional<fetch::piece> fetch::look(unsigned reader, std::uint64_t offset, std::size_t want) {
    const auto first = pieces_.empty() ? next_ : pieces_.front().offset;
    if (info_ && (offset < first || offset >= end_ || offset > next_ + limits::s3_skip_bytes_max)) {
        return piece{.bytes = {}, .elsewhere = true};
    }
    auto& position = readers_[reader];
    position = std::max(position, offset);
    if (offset >= next_ || pieces_.empty()) return std::nullopt;
    const auto after = std::ranges::upper_bound(pieces_, offset, {}, [](const kept& k) { return k.offset; });
    const kept& found = *std::prev(after);
    const auto skip = static_cast<std::size_t>(offset - found.offset);
    const auto count = std::min(want, found.bytes.size() - skip);
    position = std::max(position, offset + count);
    return piece{.bytes = found.bytes.subslice(skip, count)};
}

std::uint64_t fetch::fastest() const {
    return readers_.empty() ? next_ : std::ranges::max(readers_ | std::views::values);
}

bool fetch::waited_for() const {
    return std::ranges::any_of(waiters_, [&](const waiter& w) { return w.offset >= next_; });
}

bool fetch::wanted_within(std::size_t ahead) const {
    return waited_for() || next_ < fastest() + ahead;
}

std::optional<one_shot<bool>> fetch::take_sleeper() {
    if (!sleeper_ || !(wanted() || over_)) return std::nullopt;
    return std::exchange(sleeper_, std::nullopt);
}

std::vector<one_shot<bool>> fetch::take_ready() {
    std::vector<one_shot<bool>> out;
    std::erase_if(waiters_, [&](const waiter& w) {
        if (w.offset >= next_ && !failed_) return false;
        out.push_back(w.ready);
        return true;
    });
    return out;
}

void fetch::drop_front(std::uint64_t upto) {
    if (!reading_.empty()) upto = std::min(upto, *reading_.begin());
    while (!pieces_.empty() && pieces_.front().end() <= upto) pieces_.pop_front();
}

bool fetch::front_is_being_read() const {
    return !reading_.empty() && !pieces_.empty() && pieces_.front().end() > *reading_.begin();
}

awaitable<result<bool>> fetch::run(std::shared_ptr<fetch> self) {
    using clock = transfer_pace::clock;
    const auto began = clock::now();
    const auto& what = self->what_;
    std::optional<transfer_pace::transfer> large;
    if (std::min(what.length.value_or(what.size), what.size - std::min(what.size, what.offset)) >=
        limits::s3_parallel_block_bytes_min) {
        large.emplace(self->core_->download_pace.begin(began));
    }
    auto body = co_await self->open_body(large);
    if (!body) co_return std::unexpected(std::move(body.error()));
    std::vector<one_shot<bool>> openers;
    const auto bytes = (*body)->remaining();
    {
        const std::lock_guard lock(self->mutex_);
        self->info_ = (*body)->info();
        self->end_ = self->next_ + bytes;
        openers = std::move(self->openers_);
        self->openers_.clear();
    }
    wake(openers);
    clock::duration waited{0};
    auto received = co_await self->receive(**body, waited);
    const auto now = clock::now();
    if (large && !received && range_is_at_fault(received.error())) large->refused(now);
    // It may be smaller than was thought.
    if (large && received && bytes >= limits::s3_parallel_block_bytes_min) {
        large->moved({.bytes = bytes, .elapsed = now - began, .waited = waited}, now);
    }
    large.reset();  // Before the body: to give back its memory takes a while.
    if (!received) co_return std::unexpected(std::move(received.error()));
    co_return true;
}

awaitable<result<std::unique_ptr<block_body>>> fetch::open_body(std::optional<transfer_pace::transfer>& large) {
    // Each reader has a deadline of its own; the fetch ends with the last of them.
    const auto until = deadline::never();
    std::optional<part_buffers::share> buffers;
    if (large && (large->way() == transfer_way::parts || core_->options.always_parts)) {
        if (auto joined = core_->download_buffers.join())
            buffers.emplace(std::move(*joined));
        else
            large->go_whole();
    }
    if (!buffers) {
        auto all = co_await open(std::nullopt, until);
        if (!all) co_return std::unexpected(std::move(all.error()));
        co_return std::make_unique<block_body>(std::move(all->body));
    }
    auto first = co_await open(limits::s3_parallel_range_bytes, until);
    if (!first && range_is_at_fault(first.error())) {
        if (kind_of(first.error()) != error_kind::invalid_range) large->refused(transfer_pace::clock::now());
        large->go_whole();
        first = co_await open(std::nullopt, until);
    }
    if (!first) co_return std::unexpected(std::move(first.error()));
    const auto size = first->body.info().size;
    const auto end = what_.length ? std::min(size, what_.offset + *what_.length) : size;
    if (first->body.offset() + first->body.length() == end)
        co_return std::make_unique<block_body>(std::move(first->body));
    co_return std::make_unique<block_body>(core_, std::move(first->key), core_->names.trash(what_.name),
                                           std::move(first->body), end, std::move(*buffers));
}

awaitable<result<fetch::answer>> fetch::get(std::string key, protocol::get_options how, deadline until) {
    auto body = core_->noted(co_await core_->client.get(key, std::move(how), until));
    if (!body) co_return std::unexpected(std::move(body.error()));
    co_return answer{.key = std::move(key), .body = std::move(*body)};
}

awaitable<result<fetch::answer>> fetch::open(std::optional<std::uint64_t> first_bytes, deadline until) {
    const auto& core = core_;
    const availability::waiting busy(*core->watch);
    protocol::get_options how;
    how.if_match = what_.etag;
    if (first_bytes || what_.offset > 0 || what_.length) {
        how.range = protocol::byte_range{what_.offset, first_bytes ? first_bytes : what_.length};
    }
    auto body = co_await get(core->names.block(what_.name), how, until);
    if (body) co_return body;
    const auto kind = kind_of(body.error());
    if (!what_.etag.empty()) {
        // Trashed meanwhile, or replaced: what was opened may still be in the trash.
        if (kind != error_kind::not_found && kind != error_kind::precondition) co_return body;
        auto trashed = co_await get(core->names.trash(what_.name), how, until);
        if (trashed) co_return trashed;
        co_return fail(errc::io_error, "the block was replaced while it was read");
    }
    if (kind != error_kind::not_found || !what_.fix_race) co_return body;
    if (co_await never_marked(until)) co_return body;
    auto fixed = co_await core->fix_race(what_.name, until);
    if (!fixed) co_return std::unexpected(std::move(fixed.error()));
    if (!*fixed) co_return body;
    co_return co_await get(core->names.block(what_.name), how, until);
}

// Whether a marker that was asked for beside the block says that there is nothing to be fixed.
awaitable<bool> fetch::never_marked(deadline until) {
    {
        const std::lock_guard lock(mutex_);
        if (!marker_ && !marker_asked_) co_return false;
    }
    const auto recent = co_await marker(until.within(limits::s3_call_timeout));
    co_return !recent && recent.error() == errc::not_found;
}

awaitable<result<void>> fetch::receive(block_body& body, transfer_pace::clock::duration& waited) {
    while (body.remaining() > 0) {
        std::optional<one_shot<bool>> sleep;
        {
            const std::lock_guard lock(mutex_);
            if (over_) co_return fail(errc::cancelled);
            if (!wanted()) sleep = sleeper_.emplace();
        }
        if (sleep) {
            auto woken = co_await sleep->wait();
            if (!woken) co_return std::unexpected(std::move(woken.error()));
            continue;
        }
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(body.remaining(), limits::chunk_size_bytes));
        auto memory = find_memory(size);
        if (!memory) {
            // There is enough, or all of it is still to be read by the fastest reader, which will wake us; unless it
            // has just come to the end of it. What a read under way keeps from being dropped is free at its end, which
            // wakes us as well; unless it has just ended.
            bool at_once = false;
            {
                const std::lock_guard lock(mutex_);
                if (over_) co_return fail(errc::cancelled);
                at_once = waited_for() && !front_is_being_read();
                if (!at_once) sleep = sleeper_.emplace();
            }
            if (at_once) {
                co_await asio::post(co_await asio::this_coro::executor, use_tuple);
                continue;
            }
            auto woken = co_await sleep->wait();
            if (!woken) co_return std::unexpected(std::move(woken.error()));
            continue;
        }
        std::size_t got = 0;
        {
            const availability::waiting busy(*core_->watch);
            const auto began = transfer_pace::clock::now();
            while (got < size) {
                auto count = co_await body.read_some(memory->bytes.subspan(got));
                if (!count) co_return std::unexpected(core_->noted(std::move(count)).error());
                if (*count == 0) co_return fail(errc::io_error, "S3 sent less than it announced");
                got += *count;
                core_->watch->progress();
            }
            waited += transfer_pace::clock::now() - began;
        }
        std::vector<one_shot<bool>> ready;
        {
            const std::lock_guard lock(mutex_);
            if (over_) co_return fail(errc::cancelled);
            pieces_.push_back({next_, memory->freeze(size)});
            next_ += size;
            ready = take_ready();
            if (!keeps_for_newcomers_ && readers_.size() == 1) drop_front(fastest());
        }
        wake(ready);
    }
    co_return result<void>();
}

// From the volume's budget; when that is spent, from what fetches keep for newcomers, our own first; then from what
// shared ones keep; then from what our fastest reader has had and slower ones have not; and if nothing at all is held,
// beyond the budget, so that every fetch goes on.
std::optional<mutable_slice> fetch::find_memory(std::size_t size) {
    auto& memory = *core_->memory;
    if (auto got = memory.try_take(size)) return got;
    shed(false);
    if (auto got = memory.try_take(size)) return got;
    core_->fetches.shed(this, false);
    if (auto got = memory.try_take(size)) return got;
    {
        const std::lock_guard lock(mutex_);
        if (!wanted_within(limits::s3_read_ahead_bytes_min)) return std::nullopt;
    }
    shed(true);
    core_->fetches.shed(this, true);
    if (auto got = memory.try_take(size)) return got;
    const std::lock_guard lock(mutex_);
    drop_front(fastest());
    if (auto got = memory.try_take(size)) return got;
    if (!pieces_.empty()) return std::nullopt;
    return memory.take(size);
}

void fetch::ended(const result<bool>& outcome) {
    std::vector<one_shot<bool>> waiting;
    {
        const std::lock_guard lock(mutex_);
        if (!outcome) failed_ = outcome.error();
        for (auto& w : waiters_) waiting.push_back(w.ready);
        waiters_.clear();
        for (auto& opener : openers_) waiting.push_back(opener);
        openers_.clear();
    }
    // A failure is told to those who are waiting for it; nobody else joins it. What came whole may be joined as long as
    // somebody reads it.
    if (!outcome) core_->fetches.remove(what_.name, this);
    wake(waiting);
}

// --- fetch_table ---

std::shared_ptr<fetch> fetch_table::find(const md5_digest& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(name);
    return found == running_.end() ? nullptr : found->second.lock();
}

void fetch_table::add(const md5_digest& name, const std::shared_ptr<fetch>& f) {
    const std::lock_guard lock(mutex_);
    running_.insert_or_assign(name, f);
}

void fetch_table::remove(const md5_digest& name, const fetch* f) {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(name);
    if (found == running_.end()) return;
    const auto known = found->second.lock();
    if (!known || known.get() == f) running_.erase(found);
}

void fetch_table::forget(const md5_digest& name) {
    const std::lock_guard lock(mutex_);
    running_.erase(name);
}

void fetch_table::shed(const fetch* asking, bool also_shared) {
    std::vector<std::shared_ptr<fetch>> others;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [name, weak] : running_) {
            if (auto f = weak.lock(); f && f.get() != asking) others.push_back(std::move(f));
        }
    }
    for (const auto& f : others) f->shed(also_shared);
}

}  // namespace keepstore::volumes::s3
