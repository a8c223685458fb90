#include "volumes/s3/unsized_upload.hpp"

#include "base/limits.hpp"
#include "digest/md5.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace keepstore::volumes::s3 {

result<std::unique_ptr<unsized_upload>> unsized_upload::make(std::shared_ptr<s3_core> core, md5_digest name) {
    if (core->unsized_uploads.fetch_add(1) >= limits::s3_unsized_uploads_max) {
        core->unsized_uploads.fetch_sub(1);
        return fail(errc::unavailable, "too many uploads of unknown length at a time");
    }
    return std::unique_ptr<unsized_upload>(new unsized_upload(std::move(core), name));
}

unsized_upload::unsized_upload(std::shared_ptr<s3_core> core, md5_digest name)
    : state_(std::make_shared<state>()) {
    state_->core = std::move(core);
    state_->name = name;
}

unsized_upload::~unsized_upload() {
    const auto& core = state_->core;
    core->unsized_uploads.fetch_sub(1);
    // An operation may still be under way: only it knows whether there is an upload. It is cancelled already, and what it
    // leaves is one of the orphans that are looked for at the start and whenever the trash is emptied.
    if (!committed_ && !state_->upload_id().empty()) {
        static_cast<void>(core->loops.spawn<bool>(abort(state_), [](const result<bool>&) {}));
    }
}

awaitable<result<void>> unsized_upload::append(const_slice bytes, deadline until) {
    if (failed_) co_return std::unexpected(*failed_);
    if (bytes.size() > 0 && part_.size() == 0) part_ = make_heap_slice(limits::s3_part_bytes);
    std::size_t taken = 0;
    while (taken < bytes.size()) {
        if (filled_ == part_.size()) {
            auto sent = co_await state_->core->loops.run(send_part(state_, part_.freeze(filled_), until));
            if (!sent) {
                failed_ = std::move(sent.error());
                co_return std::unexpected(*failed_);
            }
            filled_ = 0;
        }
        const auto count = std::min(bytes.size() - taken, part_.size() - filled_);
        std::memcpy(part_.bytes.data() + filled_, bytes.bytes.data() + taken, count);
        filled_ += count;
        taken += count;
    }
    appended_ += bytes.size();
    co_return result<void>();
}

awaitable<result<void>> unsized_upload::commit(protocol::name_values metadata, deadline until) {
    if (failed_) co_return std::unexpected(*failed_);
    const auto& core = state_->core;
    core->fetches.forget(state_->name);
    result<bool> done = true;
    if (state_->upload_id().empty()) {
        done = co_await core->loops.run(send_whole(state_, part_.freeze(filled_), std::move(metadata), until));
    } else {
        done = co_await core->loops.run(send_part(state_, part_.freeze(filled_), until));
        if (done) done = co_await core->loops.run(complete(state_, appended_, std::move(metadata), until));
    }
    core->fetches.forget(state_->name);
    if (!done) {
        failed_ = std::move(done.error());
        co_return std::unexpected(*failed_);
    }
    committed_ = true;
    co_return result<void>();
}

result<std::size_t> unsized_upload::read_back(std::uint64_t offset, std::span<std::byte> into) const {
    if (appended_ > filled_) return fail(errc::unsupported, "what S3 has taken cannot be read back");
    if (offset >= filled_) return std::size_t{0};
    const auto count = std::min<std::size_t>(into.size(), filled_ - static_cast<std::size_t>(offset));
    std::memcpy(into.data(), part_.bytes.data() + offset, count);
    return count;
}

awaitable<result<bool>> unsized_upload::send_part(std::shared_ptr<state> s, const_slice part, deadline until) {
    const auto& core = *s->core;
    const auto key = core.names.block(s->name);
    const availability::waiting busy(*core.watch);
    if (s->upload_id().empty()) {
        auto id = co_await core.client.create_multipart(key, {}, until.within(limits::s3_call_timeout));
        core.watch->note(id);
        if (!id) co_return std::unexpected(std::move(id.error()));
        s->set_upload_id(std::move(*id));
    }
    // 8 ms on this loop; uploads of unknown length are rare.
    const auto md5 = digest::md5_of(part.bytes);
    protocol::upload_body body;
    body.slices.push_back(part);
    const auto number = static_cast<unsigned>(s->etags.size() + 1);
    auto etag = co_await core.client.upload_part(key, s->upload_id(), number, std::move(body), md5, until);
    core.watch->note(etag);
    if (!etag) co_return std::unexpected(std::move(etag.error()));
    s->etags.push_back(std::move(*etag));
    co_return true;
}

awaitable<result<bool>> unsized_upload::send_whole(std::shared_ptr<state> s, const_slice block,
                                                   protocol::name_values metadata, deadline until) {
    protocol::upload_body body;
    if (block.size() > 0) body.slices.push_back(std::move(block));
    auto put = co_await s->core->put_block(s->name, std::move(body), false, until);
    if (!put) co_return std::unexpected(std::move(put.error()));
    auto marked = co_await s->core->mark_recent(s->name, std::move(metadata), until);
    if (!marked) co_return std::unexpected(std::move(marked.error()));
    co_return true;
}

awaitable<result<bool>> unsized_upload::complete(std::shared_ptr<state> s, std::uint64_t size,
                                                 protocol::name_values metadata, deadline until) {
    auto& core = *s->core;
    const auto key = core.names.block(s->name);
    const auto expected = protocol::multipart_etag(s->etags);
    {
        const availability::waiting busy(*core.watch);
        auto etag = co_await core.client.complete_multipart(key, s->upload_id(), s->etags, until);
        core.watch->note(etag);
        if (!etag && kind_of(etag.error()) == error_kind::no_such_upload) {
            // The first answer may have been lost: then the object is there.
            auto there = co_await core.head(key, until);
            if (!there) co_return std::unexpected(std::move(there.error()));
            if (there->size != size || !expected || there->etag != *expected) {
                co_return std::unexpected(std::move(etag.error()));
            }
        } else if (!etag) {
            co_return std::unexpected(std::move(etag.error()));
        } else if (expected && !etag->empty() && *etag != *expected) {
            co_return fail(errc::io_error, "S3 confirmed another content than it was sent");
        }
    }
    s->set_upload_id({});
    auto marked = co_await core.mark_recent(s->name, std::move(metadata), until);
    if (!marked) co_return std::unexpected(std::move(marked.error()));
    co_return true;
}

awaitable<result<bool>> unsized_upload::abort(std::shared_ptr<state> s) {
    const auto key = s->core->names.block(s->name);
    auto aborted = co_await s->core->client.abort_multipart(key, s->upload_id(), deadline::in(limits::s3_abort_timeout));
    if (!aborted) co_return std::unexpected(std::move(aborted.error()));
    co_return true;
}

}  // namespace keepstore::volumes::s3
