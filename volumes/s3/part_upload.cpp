#include "volumes/s3/part_upload.hpp"

#include "digest/md5.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace keepstore::volumes::s3 {
namespace {

// Others on this loop are served in between: a part takes 10 ms.
awaitable<md5_digest> md5_in_steps(std::span<const std::byte> bytes) {
    const auto executor = co_await asio::this_coro::executor;
    digest::md5 hash;
    while (!bytes.empty()) {
        const auto step = std::min(bytes.size(), limits::chunk_size_bytes);
        hash.update(bytes.first(step));
        bytes = bytes.subspan(step);
        co_await asio::post(executor, use_tuple);
    }
    co_return hash.finish();
}

/// A part, given to the client in steps, so that its coming forward shows.
class part_source final : public net::body_source {
  public:
    part_source(const_slice part, availability& watch) : part_(std::move(part)), watch_(watch) {}

    std::uint64_t size() const noexcept override { return part_.size(); }
    awaitable<result<const_slice>> next() override {
        if (given_ > 0) watch_.progress();
        const auto step = std::min(part_.size() - given_, limits::chunk_size_bytes);
        auto out = part_.subslice(given_, step);
        given_ += step;
        co_return out;
    }
    bool rewind() override {
        given_ = 0;
        return true;
    }

  private:
    const const_slice part_;
    availability& watch_;
    std::size_t given_ = 0;
};

}  // namespace

result<std::shared_ptr<part_upload>> part_upload::make_unsized(std::shared_ptr<s3_core> core, md5_digest name) {
    if (core->unsized_uploads.fetch_add(1) >= limits::s3_unsized_uploads_max) {
        core->unsized_uploads.fetch_sub(1);
        return fail(errc::unavailable, "too many uploads of unknown length at a time");
    }
    return std::shared_ptr<part_upload>(new part_upload(std::move(core), name, std::nullopt));
}

std::shared_ptr<part_upload> part_upload::make_parallel(std::shared_ptr<s3_core> core, md5_digest name,
                                                        std::uint64_t size) {
    auto buffers = core->upload_buffers.join();
    if (!buffers) return nullptr;
    auto made = std::shared_ptr<part_upload>(new part_upload(std::move(core), name, size));
    made->buffers_.emplace(std::move(*buffers));
    return made;
}

part_upload::part_upload(std::shared_ptr<s3_core> core, md5_digest name, std::optional<std::uint64_t> size)
    : core_(std::move(core)), name_(name), size_(size) {}

awaitable<result<void>> part_upload::append(const_slice bytes, deadline until) {
    const auto self = shared_from_this();
    if (size_ && bytes.size() > *size_ - appended_) co_return fail(errc::bad_request, "more bytes than announced");
    {
        const std::lock_guard lock(mutex_);
        if (failed_) co_return std::unexpected(*failed_);
    }
    // While the first part comes.
    if (size_ && appended_ == 0) create(until);
    std::size_t taken = 0;
    while (taken < bytes.size()) {
        if (filled_ == current_.size()) {
            if (filled_ > 0) {
                if (auto sending = co_await send_current(until); !sending) co_return sending;
            }
            if (auto ready = co_await next_buffer(until); !ready) co_return ready;
        }
        const auto count = std::min(bytes.size() - taken, current_.size() - filled_);
        std::memcpy(current_.bytes.data() + filled_, bytes.bytes.data() + taken, count);
        filled_ += count;
        taken += count;
        appended_ += count;
    }
    co_return result<void>();
}

awaitable<result<void>> part_upload::commit(protocol::name_values metadata, deadline until) {
    const auto self = shared_from_this();
    if (size_ && appended_ != *size_) co_return fail(errc::bad_request, "fewer bytes than announced");
    core_->fetches.forget(name_);
    bool whole = false;
    {
        const std::lock_guard lock(mutex_);
        whole = !creating_;
        // No more parts come: others may have the memory at once.
        all_there_ = buffers_.has_value();
        if (all_there_) {
            for (; !spare_.empty(); spare_.pop_back()) buffers_->give_back();
        }
    }
    if (whole) {
        start(run_whole(self, current_.freeze(filled_), std::move(metadata), until));
    } else {
        if (auto sending = co_await send_current(until); !sending) co_return sending;
        auto sent = co_await wait_while([this] { return under_way_ > 0; }, until);
        if (!sent) co_return sent;
        start(run_complete(self, std::move(metadata), until));
    }
    auto done = co_await wait_while([this] { return under_way_ > 0; }, until);
    core_->fetches.forget(name_);
    co_return done;
}

result<std::size_t> part_upload::read_back(std::uint64_t offset, std::span<std::byte> into) const {
    if (appended_ > filled_) return fail(errc::unsupported, "what S3 has taken cannot be read back");
    if (offset >= filled_) return std::size_t{0};
    const auto count = std::min<std::size_t>(into.size(), filled_ - static_cast<std::size_t>(offset));
    std::memcpy(into.data(), current_.bytes.data() + offset, count);
    return count;
}

void part_upload::drop() noexcept {
    std::vector<std::shared_ptr<loop_task>> tasks;
    bool abort = false;
    current_ = {};
    {
        const std::lock_guard lock(mutex_);
        dropped_ = true;
        tasks = std::move(tasks_);
        tasks_.clear();
        abort = let_go();
    }
    for (const auto& task : tasks) task->cancel();
    if (abort) start_abort();
}

bool part_upload::let_go() {
    if (under_way_ > 0 || !(dropped_ || failed_)) return false;
    spare_.clear();
    buffers_.reset();
    if (!dropped_) return false;
    if (!size_ && !std::exchange(uncounted_, true)) core_->unsized_uploads.fetch_sub(1);
    return !id_.empty();
}

void part_upload::start(awaitable<result<bool>> work) {
    {
        const std::lock_guard lock(mutex_);
        ++under_way_;
    }
    const auto self = shared_from_this();
    auto task =
        core_->loops.spawn<bool>(std::move(work), [self](const result<bool>& outcome) { self->ended(outcome); });
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
}

void part_upload::ended(const result<bool>& outcome) {
    std::optional<one_shot<bool>> writer;
    bool abort = false;
    {
        const std::lock_guard lock(mutex_);
        --under_way_;
        if (!outcome && !failed_) failed_ = outcome.error();
        writer = std::exchange(writer_waits_, std::nullopt);
        abort = let_go();
    }
    if (writer) writer->set(true);
    if (abort) start_abort();
}

awaitable<result<void>> part_upload::wait_while(std::function<bool()> holds, deadline until) {
    while (true) {
        const one_shot<bool> woken;
        {
            const std::lock_guard lock(mutex_);
            if (failed_) co_return std::unexpected(*failed_);
            if (!holds()) co_return result<void>();
            writer_waits_ = woken;
        }
        auto done = co_await wait_until(woken, until);
        if (!done) co_return std::unexpected(std::move(done.error()));
    }
}

void part_upload::create(deadline until) {
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(creating_, true)) return;
    }
    start(run_create(shared_from_this(), until.within(limits::s3_call_timeout)));
}

awaitable<result<void>> part_upload::send_current(deadline until) {
    create(until);
    auto created = co_await wait_while([this] { return id_.empty(); }, until);
    if (!created) co_return created;
    std::size_t index = 0;
    {
        const std::lock_guard lock(mutex_);
        index = etags_.size();
        etags_.emplace_back();
    }
    start(run_part(shared_from_this(), index, std::exchange(current_, {}), std::exchange(filled_, 0), until));
    co_return result<void>();
}

awaitable<result<void>> part_upload::next_buffer(deadline until) {
    bool fresh = appended_ == 0;  // The first one came with the upload.
    const auto none = [this, &fresh] {
        if (fresh) return false;
        if (auto spare = take_spare()) {
            current_ = std::move(*spare);
            return false;
        }
        fresh = buffers_ && buffers_->take();
        return !fresh;
    };
    if (auto ready = co_await wait_while(none, until); !ready) co_return ready;
    if (fresh) current_ = make_heap_slice(limits::s3_part_bytes);
    co_return result<void>();
}

std::optional<mutable_slice> part_upload::take_spare() {
    if (spare_.empty()) return std::nullopt;
    auto out = std::move(spare_.back());
    spare_.pop_back();
    return out;
}

awaitable<result<bool>> part_upload::run_create(std::shared_ptr<part_upload> self, deadline until) {
    auto& core = *self->core_;
    const availability::waiting busy(*core.watch);
    auto id = core.noted(co_await core.client.create_multipart(core.names.block(self->name_), {}, until));
    if (!id) co_return std::unexpected(std::move(id.error()));
    const std::lock_guard lock(self->mutex_);
    self->id_ = std::move(*id);
    co_return true;
}

awaitable<result<bool>> part_upload::run_part(std::shared_ptr<part_upload> self, std::size_t index,
                                              mutable_slice buffer, std::size_t size, deadline until) {
    auto& core = *self->core_;
    const auto part = buffer.freeze(size);
    const auto md5 = co_await md5_in_steps(part.bytes);
    std::string id;
    {
        const std::lock_guard lock(self->mutex_);
        id = self->id_;
    }
    const availability::waiting busy(*core.watch);
    part_source source(part, *core.watch);
    auto sent =
        co_await core.client.upload_part(core.names.block(self->name_), std::move(id), static_cast<unsigned>(index + 1),
                                         {.slices = {}, .source = &source}, md5, until);
    const auto etag = sent ? md5_digest::parse(sent->etag) : std::nullopt;
    if (etag && !sent->etag_is_opaque && *etag != md5) {
        sent = fail(errc::io_error, "S3 confirmed another content than it was sent");
    }
    const std::lock_guard lock(self->mutex_);
    // Parts that fail together are one failure.
    if (sent || !std::exchange(self->failure_noted_, true)) core.watch->note(sent);
    if (!sent) co_return std::unexpected(std::move(sent.error()));
    self->etags_[index] = std::move(sent->etag);
    if (self->all_there_)
        self->buffers_->give_back();
    else if (!self->buffers_ || !self->buffers_->give())
        self->spare_.push_back(std::move(buffer));
    co_return true;
}

awaitable<result<bool>> part_upload::run_whole(std::shared_ptr<part_upload> self, const_slice block,
                                               protocol::name_values metadata, deadline until) {
    protocol::upload_body body;
    if (block.size() > 0) body.slices.push_back(std::move(block));
    auto put = co_await self->core_->put_block(self->name_, std::move(body), false, until);
    if (!put) co_return std::unexpected(std::move(put.error()));
    auto marked = co_await self->core_->mark_recent(self->name_, std::move(metadata), until);
    if (!marked) co_return std::unexpected(std::move(marked.error()));
    co_return true;
}

awaitable<result<bool>> part_upload::run_complete(std::shared_ptr<part_upload> self, protocol::name_values metadata,
                                                  deadline until) {
    auto completed = co_await self->complete(until);
    if (!completed) co_return std::unexpected(std::move(completed.error()));
    // The marker last: a marker without its block would look like a block that was lost.
    auto marked = co_await self->core_->mark_recent(self->name_, std::move(metadata), until);
    if (!marked) co_return std::unexpected(std::move(marked.error()));
    co_return true;
}

awaitable<result<void>> part_upload::complete(deadline until) {
    auto& core = *core_;
    const auto key = core.names.block(name_);
    std::string id;
    std::vector<std::string> etags;
    {
        const std::lock_guard lock(mutex_);
        id = id_;
        etags = etags_;
    }
    const auto expected = protocol::multipart_etag(etags);
    const availability::waiting busy(*core.watch);
    auto etag = core.noted(co_await core.client.complete_multipart(key, std::move(id), std::move(etags), until));
    if (!etag) co_return std::unexpected(std::move(etag.error()));
    if (expected && !etag->empty() && *etag != *expected) {
        co_return fail(errc::io_error, "S3 confirmed another content than it was sent");
    }
    const std::lock_guard lock(mutex_);
    id_.clear();
    co_return result<void>();
}

void part_upload::start_abort() {
    static_cast<void>(core_->loops.spawn<bool>(run_abort(shared_from_this()), [](const result<bool>&) {}));
}

awaitable<result<bool>> part_upload::run_abort(std::shared_ptr<part_upload> self) {
    std::string id;
    {
        const std::lock_guard lock(self->mutex_);
        id = std::exchange(self->id_, {});
    }
    const auto key = self->core_->names.block(self->name_);
    auto aborted =
        co_await self->core_->client.abort_multipart(key, std::move(id), deadline::in(limits::s3_abort_timeout));
    if (!aborted) co_return std::unexpected(std::move(aborted.error()));
    co_return true;
}

}  // namespace keepstore::volumes::s3
