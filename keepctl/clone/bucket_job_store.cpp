#include "keepctl/clone/job_store.hpp"
#include "keepctl/clone/limits.hpp"
#include "s3/client.hpp"

#include <span>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// The files of a job as objects of a bucket, under a prefix. Changes are conditional PUTs; for a service that does not
/// know them they are plain ones after a look, which costs two workers double work at worst.
class bucket_job_store final : public job_store {
  public:
    bucket_job_store(std::string where, s3::client client, std::string prefix)
        : where_(std::move(where)), client_(std::move(client)), prefix_(std::move(prefix)) {}

    [[nodiscard]] const std::string& where() const noexcept override { return where_; }
    [[nodiscard]] awaitable<result<std::optional<file>>> read(std::string name, deadline until) override;
    [[nodiscard]] awaitable<result<bool>> swap(std::string name, std::string text, std::optional<std::string> version,
                                               deadline until) override;

  private:
    [[nodiscard]] std::string key_of(const std::string& name) const {
        return prefix_.empty() ? name : prefix_ + "/" + name;
    }
    /// \returns false if the condition did not hold.
    [[nodiscard]] awaitable<result<bool>> put(std::string name, std::string text, s3::put_options how, deadline until);

    const std::string where_;
    const s3::client client_;
    const std::string prefix_;
    bool conditional_ = true;  ///< The service knows conditional PUTs.
    s3::put_options::etag_form form_ = s3::put_options::etag_form::quoted;
};

}  // namespace

using s3::error_kind;

awaitable<result<std::optional<job_store::file>>> bucket_job_store::read(std::string name, deadline until) {
    auto object = co_await client_.get(key_of(name), {}, until);
    if (!object && object.error() == errc::not_found) co_return std::nullopt;
    if (!object) co_return std::unexpected(std::move(object.error()));
    if (object->length() > limits::clone_job_file_bytes_max)
        co_return fail(errc::too_large, where_ + ": " + name + " is no file of a job");
    file out{.text = std::string(static_cast<std::size_t>(object->length()), '\0'), .version = object->info().etag};
    KS_CO_TRY(const auto count, co_await object->read_full(std::as_writable_bytes(std::span(out.text))));
    if (count < out.text.size()) co_return fail(errc::io_error, where_ + ": " + name + " ends before its size");
    co_return out;
}

awaitable<result<bool>> bucket_job_store::swap(std::string name, std::string text, std::optional<std::string> version,
                                               deadline until) {
    if (!conditional_ && !version) {
        KS_CO_TRY(const auto there, co_await read(name, until));
        if (there) co_return false;
    }
    s3::put_options how;
    how.if_absent = conditional_ && !version;
    if (conditional_ && version) how.if_match = *version;
    how.if_match_form = form_;
    KS_CO_TRY(const bool written, co_await put(name, text, how, until));
    if (written || !version || !conditional_ || form_ == s3::put_options::etag_form::bare) co_return written;
    // Some services compare it with quotes and all. The object shows whether this is one.
    KS_CO_TRY(const auto there, co_await read(name, until));
    if (!there || there->version != *version) co_return false;
    how.if_match_form = s3::put_options::etag_form::bare;
    KS_CO_TRY(const bool bare, co_await put(std::move(name), std::move(text), std::move(how), until));
    if (bare) form_ = s3::put_options::etag_form::bare;
    co_return bare;
}

awaitable<result<bool>> bucket_job_store::put(std::string name, std::string text, s3::put_options how, deadline until) {
    const s3::upload_body body{.slices = {copy_to_heap_slice(std::as_bytes(std::span(text)))}};
    auto stored = co_await client_.put(key_of(name), body, how, until);
    if (stored) co_return true;
    const auto kind = s3::kind_of(stored.error());
    const bool asked = how.if_absent || !how.if_match.empty();
    if (kind == error_kind::precondition || (kind == error_kind::not_found && !how.if_match.empty())) co_return false;
    if (!asked || (kind != error_kind::unsupported && kind != error_kind::invalid))
        co_return std::unexpected(std::move(stored.error()));
    conditional_ = false;
    how.if_absent = false;
    how.if_match.clear();
    KS_CO_CHECK(co_await client_.put(key_of(name), body, std::move(how), until));
    co_return true;
}

std::unique_ptr<job_store> make_bucket_job_store(std::string where, s3::client client, std::string prefix) {
    return std::make_unique<bucket_job_store>(std::move(where), std::move(client), std::move(prefix));
}

}  // namespace keepstore::keepctl
