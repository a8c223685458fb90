#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "volumes/cloud/part_source.hpp"
#include "volumes/cloud/upload_target.hpp"
#include "volumes/s3/limits.hpp"
#include "volumes/s3/s3_core.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::volumes::s3 {
namespace {

/// One multipart upload at the service: its id and the ETags of its parts. A part is sent with its MD5, and again
/// within the limits of cloud/retry.hpp, since its bytes stay in memory until then.
///
/// Coroutines run on loops of the volume, parts concurrently; each holds the session. Safe to use from any thread.
class multipart_session final : public cloud::part_session, public std::enable_shared_from_this<multipart_session> {
  public:
    multipart_session(std::shared_ptr<s3_core> core, md5_digest name) : core_(std::move(core)), name_(name) {}

    /// Asks the service for an id.
    [[nodiscard]] awaitable<result<void>> create(deadline until) override {
        const auto self = shared_from_this();
        const cloud::circuit_breaker::pending_call pending(*core_->breaker);
        KS_CO_TRY(auto id, core_->noted(co_await core_->client.create_multipart(key(), {}, until)));
        const std::lock_guard lock(mutex_);
        id_ = std::move(id);
        co_return success();
    }

    [[nodiscard]] bool exists() const override {
        const std::lock_guard lock(mutex_);
        return !id_.empty();
    }

    /// Its number at the service is one more.
    [[nodiscard]] std::size_t add_part() override {
        const std::lock_guard lock(mutex_);
        etags_.emplace_back();
        return etags_.size() - 1;
    }

    [[nodiscard]] awaitable<result<void>> send(std::size_t index, const_slice part, deadline until) override {
        const auto self = shared_from_this();
        const auto md5 = co_await cloud::md5_in_steps(part.bytes);
        const cloud::circuit_breaker::pending_call pending(*core_->breaker);
        cloud::part_source source(part, *core_->breaker);
        auto sent = co_await core_->client.upload_part(key(), id(), static_cast<unsigned>(index + 1),
                                                       {.slices = {}, .source = &source}, md5, until);
        const std::lock_guard lock(mutex_);
        if (sent || !std::exchange(failure_noted_, true)) core_->breaker->note(sent);
        if (!sent) co_return std::unexpected(std::move(sent.error()));
        const auto evidence = protocol::judge_etag(*sent, md5);
        part_contradicts_ = part_contradicts_ || evidence == protocol::etag_evidence::contradicts;
        parts_confirm_ = parts_confirm_ && evidence == protocol::etag_evidence::confirms;
        etags_[index] = std::move(sent->etag);
        co_return success();
    }

    /// Reads the object if an ETag contradicts its parts or the response was lost. Then writes the marker.
    [[nodiscard]] awaitable<result<void>> complete(protocol::name_values metadata, deadline until) override {
        const auto self = shared_from_this();
        KS_CO_CHECK(co_await join_parts(until));
        // The marker last: a marker without its block would look like a block that was lost.
        co_return co_await core_->mark_recent(name_, std::move(metadata), until);
    }

    [[nodiscard]] awaitable<result<void>> abort() override {
        const auto self = shared_from_this();
        std::string id;
        {
            const std::lock_guard lock(mutex_);
            id = std::exchange(id_, {});
        }
        co_return co_await core_->client.abort_multipart(key(), std::move(id), deadline::in(limits::s3_abort_timeout));
    }

  private:
    [[nodiscard]] awaitable<result<void>> join_parts(deadline until) {
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

    [[nodiscard]] awaitable<result<std::string>> send_complete(std::vector<std::string> etags, deadline until) {
        const cloud::circuit_breaker::pending_call pending(*core_->breaker);
        co_return core_->noted(co_await core_->client.complete_multipart(key(), id(), std::move(etags), until));
    }

    [[nodiscard]] std::string key() const { return core_->names.block(name_); }

    [[nodiscard]] std::string id() const {
        const std::lock_guard lock(mutex_);
        return id_;
    }

    const std::shared_ptr<s3_core> core_;
    const md5_digest name_;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::string id_;  ///< Empty: there is no upload (any more).
    std::vector<std::string> etags_;
    bool part_contradicts_ = false;  ///< The ETag of a part does (keepstore::s3::judge_etag).
    bool parts_confirm_ = true;      ///< Those of all parts do.
    bool failure_noted_ = false;     ///< For the circuit breaker: parts that fail together are one failure.
};

}  // namespace

std::shared_ptr<cloud::part_session> s3_core::make_session(const md5_digest& name) {
    return std::make_shared<multipart_session>(shared_from_this(), name);
}

}  // namespace keepstore::volumes::s3
