#include "base/cancellable.hpp"
#include "digest/md5.hpp"
#include "keepctl/snapshot/limits.hpp"
#include "keepctl/snapshot/object_store.hpp"
#include "s3/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// A repository in a bucket, s3://bucket/prefix. Swaps are conditional PUTs (If-Match, If-None-Match), which are tried
/// out before they are relied on: some services ignore conditions, and some know the ETag in quotes, others bare.
///
/// Objects over limits::part_threshold_bytes go up in parts from one buffer that is used again; the upload is aborted
/// after any error and when the call is cancelled. All bytes are proven by Content-MD5.
class bucket_store final : public object_store {
  public:
    bucket_store(s3::client client, bucket_store_options given)
        : client_(std::move(client)), options_(std::move(given)) {}

    [[nodiscard]] const std::string& name() const noexcept override { return options_.name; }
    [[nodiscard]] awaitable<result<void>> prove_swap(deadline until) override;
    [[nodiscard]] awaitable<result<stored_text>> read(std::string key, std::size_t limit, deadline until) override;
    [[nodiscard]] awaitable<result<void>> read_into(std::string key, std::shared_ptr<inventory_buffer> into,
                                                    deadline until) override;
    [[nodiscard]] awaitable<result<void>> write(std::string key, std::shared_ptr<const object_bytes> bytes,
                                                deadline until) override;
    [[nodiscard]] awaitable<result<swap_end>> swap(std::string key, std::string text,
                                                   std::optional<std::string> version, deadline until) override;
    [[nodiscard]] awaitable<result<std::vector<stored_object>>> list(std::string prefix, deadline until) override;
    [[nodiscard]] awaitable<result<void>> remove(std::string key, deadline until) override;
    [[nodiscard]] awaitable<result<std::chrono::sys_seconds>> now(deadline until) override;
    [[nodiscard]] awaitable<result<void>> remove_unfinished(std::chrono::sys_seconds before, deadline until) override;

  private:
    [[nodiscard]] std::string full(const std::string& key) const { return options_.prefix + key; }
    [[nodiscard]] awaitable<result<void>> write_parts(std::string key, const object_bytes& bytes, deadline until);
    [[nodiscard]] awaitable<result<std::vector<std::string>>> send_parts(const std::string& key, const std::string& id,
                                                                         const object_bytes& bytes, deadline until);
    [[nodiscard]] awaitable<result<s3::put_result>> put_text(std::string key, std::string text, s3::put_options how,
                                                             deadline until);
    [[nodiscard]] awaitable<result<void>> prove_with(std::string key, deadline until);

    s3::client client_;
    const bucket_store_options options_;
    /// How the service takes ETags in If-Match; found out by prove_swap().
    s3::put_options::etag_form etag_form_ = s3::put_options::etag_form::quoted;
    mutable_slice part_;  // Of an upload; made when the first one begins.
};

using s3::error_kind;
using etag_form = s3::put_options::etag_form;

constexpr std::string_view no_conditions =
    "this service does not honour conditional writes; use another one, file://, or --single-writer";

/// An object as the body of a PUT, copied out piece by piece.
class object_body final : public net::body_source {
  public:
    explicit object_body(const object_bytes& bytes) : bytes_(bytes) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }
    [[nodiscard]] awaitable<result<const_slice>> next() override {
        const auto count = std::min<std::uint64_t>(limits::put_piece_bytes, bytes_.size() - offset_);
        if (count == 0) co_return const_slice{};
        const auto piece = make_heap_slice(static_cast<std::size_t>(count));
        bytes_.copy(offset_, piece.bytes);
        offset_ += count;
        co_return piece.freeze(piece.size());
    }
    [[nodiscard]] bool rewind() override {
        offset_ = 0;
        return true;
    }

  private:
    const object_bytes& bytes_;
    std::uint64_t offset_ = 0;
};

/// What the failure of a conditional PUT says about the object.
result<swap_end> judge(const error& why) {
    switch (s3::kind_of(why)) {
        case error_kind::precondition:
        case error_kind::not_found:
            return swap_end::lost;
        // 409, and an attempt of the client itself may have come through before the one that failed for good.
        case error_kind::slow_down:
        case error_kind::server:
        case error_kind::network:
        case error_kind::timeout:
        case error_kind::cancelled:
        case error_kind::malformed_response:
            return swap_end::unknown;
        default:
            break;
    }
    // A code of its own for a conflict.
    if (why.text.contains(": 409")) return swap_end::lost;
    return std::unexpected(why);
}

bool refused_by_condition(const result<s3::put_result>& end) {
    return !end && s3::kind_of(end.error()) == error_kind::precondition;
}

}  // namespace

awaitable<result<s3::put_result>> bucket_store::put_text(std::string key, std::string text, s3::put_options how,
                                                         deadline until) {
    const auto slice = copy_to_heap_slice(std::as_bytes(std::span(text)));
    how.md5 = digest::md5_of(slice.bytes);
    how.content_type = "application/json";
    co_return co_await client_.put(full(key), {.slices = {slice}}, std::move(how), until);
}

awaitable<result<void>> bucket_store::prove_swap(deadline until) {
    if (options_.single_writer) {
        options_.warn("--single-writer: latest.json is replaced without a condition; a second writer loses snapshots");
        co_return success();
    }
    // Once more: a response may get lost, and its repetition meet what the first attempt wrote.
    for (int attempt = 0;; ++attempt) {
        const std::string key = "probe/" + random_digits();
        auto proven = co_await prove_with(key, until);
        if (auto removed = co_await remove(key, until); proven && !removed) co_return removed;
        if (proven || proven.error() != errc::unsupported || attempt == 1) co_return proven;
    }
}

// PUT; the same if absent: 412; with another ETag: 412; with its ETag, quoted or else bare: 200.
awaitable<result<void>> bucket_store::prove_with(std::string key, deadline until) {
    KS_CO_TRY(const auto first, co_await put_text(key, "one\n", {}, until));
    const auto refused = [](const result<s3::put_result>& end) -> result<void> {
        if (refused_by_condition(end)) return success();
        if (end || s3::kind_of(end.error()) == error_kind::unsupported || end.error().text.contains(": 409"))
            return fail(errc::unsupported, std::string(no_conditions));
        return std::unexpected(end.error());
    };
    KS_CO_CHECK(refused(co_await put_text(key, "two\n", {.if_absent = true}, until)));
    for (const auto form : {etag_form::quoted, etag_form::bare}) {
        const std::string other = digest::md5_of(std::as_bytes(std::span(std::string_view("other")))).hex();
        KS_CO_CHECK(refused(co_await put_text(key, "three\n", {.if_match = other, .if_match_form = form}, until)));
        auto replaced = co_await put_text(key, "four\n", {.if_match = first.etag, .if_match_form = form}, until);
        if (replaced) {
            etag_form_ = form;
            co_return success();
        }
        if (!refused_by_condition(replaced)) KS_CO_CHECK(refused(replaced));
    }
    co_return fail(errc::unsupported, std::string(no_conditions));
}

awaitable<result<stored_text>> bucket_store::read(std::string key, std::size_t limit, deadline until) {
    KS_CO_TRY(auto download, co_await client_.get(full(key), {}, until));
    if (download.length() > limit)
        co_return fail(errc::too_large, fmt::format("{} has {} bytes", key, download.length()));
    stored_text out{.text = std::string(static_cast<std::size_t>(download.length()), '\0'),
                    .version = download.info().etag};
    KS_CO_TRY(const auto count, co_await download.read_full(std::as_writable_bytes(std::span(out.text))));
    if (count != out.text.size()) co_return fail(errc::unavailable, key + " ended before its length");
    if (out.version.empty()) co_return fail(errc::unsupported, "the service gives no ETag, which a repository needs");
    co_return out;
}

awaitable<result<void>> bucket_store::read_into(std::string key, std::shared_ptr<inventory_buffer> into,
                                                deadline until) {
    KS_CO_TRY(auto download, co_await client_.get(full(key), {}, until));
    const auto wanted = into->bytes();
    if (download.length() != wanted.size())
        co_return fail(errc::checksum_mismatch,
                       fmt::format("it has {} bytes instead of {}", download.length(), wanted.size()));
    KS_CO_TRY(const auto count, co_await download.read_full(wanted));
    if (count != wanted.size()) co_return fail(errc::unavailable, key + " ended before its length");
    co_return success();
}

awaitable<result<void>> bucket_store::write(std::string key, std::shared_ptr<const object_bytes> bytes,
                                            deadline until) {
    if (bytes->size() > limits::part_threshold_bytes) co_return co_await write_parts(full(key), *bytes, until);
    object_body body(*bytes);
    KS_CO_CHECK(co_await client_.put(full(key), {.source = &body}, {.md5 = md5_of(*bytes)}, until));
    co_return success();
}

awaitable<result<void>> bucket_store::write_parts(std::string key, const object_bytes& bytes, deadline until) {
    KS_CO_TRY(const auto id, co_await client_.create_multipart(key, {}, until));
    auto etags = co_await send_parts(key, id, bytes, until);
    result<void> end = success();
    if (!etags) {
        end = std::unexpected(std::move(etags.error()));
    } else if (auto done = co_await client_.complete_multipart(key, id, std::move(*etags), until); !done) {
        end = std::unexpected(std::move(done.error()));
    }
    if (end) co_return end;
    // Also, and above all, when the call is cancelled.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const auto aborted = co_await client_.abort_multipart(key, id, request_deadline());
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    if (!aborted && options_.warn)
        options_.warn("an upload could not be aborted; a later prune does: " + aborted.error().text);
    co_return end;
}

awaitable<result<std::vector<std::string>>> bucket_store::send_parts(const std::string& key, const std::string& id,
                                                                     const object_bytes& bytes, deadline until) {
    if (!part_.owner) part_ = make_heap_slice(limits::part_bytes);
    std::vector<std::string> etags;
    for (std::uint64_t offset = 0; offset < bytes.size();) {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(limits::part_bytes, bytes.size() - offset));
        // The client holds a share only while the call lasts.
        if (!part_.owner.unique()) part_ = make_heap_slice(limits::part_bytes);
        bytes.copy(offset, part_.bytes.first(count));
        const auto digest = digest::md5_of(part_.bytes.first(count));
        KS_CO_TRY(const auto sent, co_await client_.upload_part(key, id, static_cast<unsigned>(etags.size()) + 1,
                                                                {.slices = {part_.freeze(count)}}, digest, until));
        etags.push_back(sent.etag);
        offset += count;
    }
    co_return etags;
}

awaitable<result<swap_end>> bucket_store::swap(std::string key, std::string text, std::optional<std::string> version,
                                               deadline until) {
    s3::put_options how;
    if (options_.single_writer) {
        options_.warn("--single-writer: replacing " + key + " without a condition");
        const auto now = co_await read(key, limits::latest_bytes_max, until);
        if (!now && now.error() != errc::not_found) co_return std::unexpected(now.error());
        if (now.has_value() != version.has_value() || (now && now->version != *version)) co_return swap_end::lost;
    } else if (version) {
        how.if_match = *version;
        how.if_match_form = etag_form_;
    } else {
        how.if_absent = true;
    }
    const auto stored = co_await put_text(std::move(key), std::move(text), std::move(how), until);
    if (stored) co_return swap_end::done;
    co_return judge(stored.error());
}

awaitable<result<std::vector<stored_object>>> bucket_store::list(std::string prefix, deadline until) {
    std::vector<stored_object> out;
    s3::list_options options{.prefix = full(prefix)};
    while (true) {
        KS_CO_TRY(auto page, co_await client_.list(options, until));
        for (auto& object : page.objects) {
            if (!object.key.starts_with(options.prefix))
                co_return fail(errc::unavailable, "a listing with foreign keys");
            out.push_back({.key = object.key.substr(options_.prefix.size()),
                           .bytes = object.size,
                           .written_at = object.last_modified});
        }
        if (!page.truncated) co_return out;
        if (out.size() > limits::repository_objects_max)
            co_return fail(errc::too_large, "too many objects in the repository");
        options.continue_after(page);
    }
}

awaitable<result<void>> bucket_store::remove(std::string key, deadline until) {
    co_return co_await client_.del(full(key), until);
}

awaitable<result<std::chrono::sys_seconds>> bucket_store::now(deadline until) {
    const std::string key = "probe/" + random_digits();
    const auto stored = co_await put_text(key, "now\n", {}, until);
    KS_CO_CHECK(co_await remove(key, until));
    if (!stored) co_return std::unexpected(stored.error());
    if (!stored->date)
        co_return fail(errc::unsupported, "the service's responses have no Date, which a repository needs");
    co_return *stored->date;
}

awaitable<result<void>> bucket_store::remove_unfinished(std::chrono::sys_seconds before, deadline until) {
    std::string after_key;
    std::string after_id;
    while (true) {
        KS_CO_TRY(const auto page, co_await client_.list_uploads(options_.prefix, after_key, after_id, until));
        for (const auto& upload : page.uploads) {
            if (upload.key.starts_with(options_.prefix) && upload.initiated && *upload.initiated < before)
                KS_CO_CHECK(co_await client_.abort_multipart(upload.key, upload.upload_id, until));
        }
        if (!page.truncated) co_return success();
        after_key = page.next_key;
        after_id = page.next_upload_id;
    }
}

std::unique_ptr<object_store> make_bucket_store(s3::client client, bucket_store_options options) {
    return std::make_unique<bucket_store>(std::move(client), std::move(options));
}

}  // namespace keepstore::keepctl
