#include "volumes/s3/multipart_session.hpp"

#include "volumes/cloud/part_source.hpp"
#include "volumes/s3/limits.hpp"
#include "volumes/s3/s3_core.hpp"

#include <optional>
#include <utility>

namespace keepstore::volumes::s3 {

std::string multipart_session::key() const {
    return core_->names.block(name_);
}

std::string multipart_session::id() const {
    const std::lock_guard lock(mutex_);
    return id_;
}

bool multipart_session::exists() const {
    const std::lock_guard lock(mutex_);
    return !id_.empty();
}

std::size_t multipart_session::add_part() {
    const std::lock_guard lock(mutex_);
    etags_.emplace_back();
    return etags_.size() - 1;
}

awaitable<result<void>> multipart_session::create(deadline until) {
    const auto self = shared_from_this();
    const cloud::circuit_breaker::pending_call pending(*core_->breaker);
    KS_CO_TRY(auto id, core_->noted(co_await core_->client.create_multipart(key(), {}, until)));
    const std::lock_guard lock(mutex_);
    id_ = std::move(id);
    co_return success();
}

awaitable<result<void>> multipart_session::send(std::size_t index, const_slice part, deadline until) {
    const auto self = shared_from_this();
    const auto md5 = co_await cloud::md5_in_steps(part.bytes);
    const cloud::circuit_breaker::pending_call pending(*core_->breaker);
    cloud::part_source source(part, *core_->breaker);
    auto sent = co_await core_->client.upload_part(key(), id(), static_cast<unsigned>(index + 1),
                                                   {.slices = {}, .source = &source}, md5, until);
    const std::lock_guard lock(mutex_);
    if (sent || !std::exchange(failure_noted_, true)) core_->breaker->note(sent);
    if (!sent) co_return std::unexpected(std::move(sent.error()));
    const auto verdict = protocol::judge_etag(*sent, md5);
    part_contradicts_ = part_contradicts_ || verdict == protocol::etag_evidence::contradicts;
    parts_confirm_ = parts_confirm_ && verdict == protocol::etag_evidence::confirms;
    etags_[index] = std::move(sent->etag);
    co_return success();
}

awaitable<result<void>> multipart_session::complete(protocol::name_values metadata, deadline until) {
    const auto self = shared_from_this();
    KS_CO_CHECK(co_await join_parts(until));
    // The marker last: a marker without its block would look like a block that was lost.
    co_return co_await core_->mark_recent(name_, std::move(metadata), until);
}

awaitable<result<void>> multipart_session::join_parts(deadline until) {
    std::vector<std::string> etags;
    bool contradicted = false;
    bool confirmed = false;
    {
        const std::lock_guard lock(mutex_);
        etags = etags_;
        contradicted = part_contradicts_;
        confirmed = parts_confirm_;
    }
    const auto expected = protocol::multipart_etag(etags);
    auto etag = co_await send_complete(std::move(etags), until);
    if (!etag) {
        // An attempt whose response was lost may have succeeded.
        if (kind_of(etag.error()) != error_kind::no_such_upload) co_return std::unexpected(std::move(etag.error()));
        const auto stored = co_await core_->stores_block(name_, until);
        if (!stored || !*stored) co_return std::unexpected(std::move(etag.error()));
    } else if (contradicted) {
        KS_CO_CHECK(co_await core_->settle_etag(name_, core_->put_etags, until));
    } else if (confirmed && !etag->empty() && etag != expected && etag != name_.hex()) {
        KS_CO_CHECK(co_await core_->settle_etag(name_, core_->whole_etags, until));
    }
    const std::lock_guard lock(mutex_);
    id_.clear();
    co_return success();
}

awaitable<result<std::string>> multipart_session::send_complete(std::vector<std::string> etags, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*core_->breaker);
    co_return core_->noted(co_await core_->client.complete_multipart(key(), id(), std::move(etags), until));
}

awaitable<result<void>> multipart_session::abort() {
    const auto self = shared_from_this();
    std::string id;
    {
        const std::lock_guard lock(mutex_);
        id = std::exchange(id_, {});
    }
    co_return co_await core_->client.abort_multipart(key(), std::move(id), deadline::in(limits::s3_abort_timeout));
}

}  // namespace keepstore::volumes::s3
