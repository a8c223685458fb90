#include "s3/probe_objects.hpp"

#include "s3/limits.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <random>
#include <span>

namespace keepstore::s3 {
namespace {

constexpr std::string_view test_content = "This object was made by a test of this bucket and can be deleted.\n";

std::string join(const name_values& values) {
    std::string out;
    for (const auto& [name, value] : values) out += name + "=" + value + ";";
    return out;
}

md5_digest md5_of(std::string_view text) {
    md5_digest out;
    EVP_Digest(text.data(), text.size(), out.bytes.data(), nullptr, EVP_md5(), nullptr);
    return out;
}

upload_body body_of(std::string_view text) {
    upload_body out;
    out.slices.push_back(copy_to_heap_slice(std::as_bytes(std::span(text))));
    return out;
}

std::string unique_name() {
    std::random_device random;
    return fmt::format("keepstore-probe/{:08x}{:08x}", random(), random());
}

awaitable<result<std::string>> get_text(const client& bucket, std::string key, get_options options, deadline until) {
    auto download = co_await bucket.get(std::move(key), std::move(options), until);
    if (!download) co_return std::unexpected(download.error());
    std::string out(static_cast<std::size_t>(download->length()), '\0');
    const auto n = co_await download->read_full(std::as_writable_bytes(std::span(out)));
    if (!n) co_return std::unexpected(n.error());
    co_return out;
}

}  // namespace

bool probe_report::ok(std::string step, std::string text) {
    out_({probe_line::outcome::ok, std::move(step), std::move(text)});
    return true;
}
bool probe_report::note(std::string step, std::string text) {
    out_({probe_line::outcome::note, std::move(step), std::move(text)});
    return true;
}
bool probe_report::failed(std::string step, std::string text) {
    good_ = false;
    if (until_.passed()) text += " (the probe ran out of time: the service responds too slowly, or not at all)";
    out_({probe_line::outcome::failed, std::move(step), std::move(text)});
    return false;
}

std::string_view without_advice(const error& e) {
    const std::string_view text = e.text;
    const auto at = text.find(advice(kind_of(e)));
    return at == std::string_view::npos || at < 2 ? text : text.substr(0, at - 2);
}

awaitable<void> object_probe::check_writing() {
    const auto name = unique_name();
    const bool stored = co_await check_objects(name);
    if (stored) co_await check_multipart(name + "-parts");
}

awaitable<void> object_probe::check_stored(std::string key) {
    if (key.empty()) {
        report_.note("get", may_list_
                                ? "nothing is stored that could be read"
                                : "no object is known that could be read: whether these keys may read is not known");
        co_return;
    }
    auto body = co_await bucket_.get(std::move(key), {.range = byte_range{0, 1}}, until_);
    // An empty object has no first byte.
    if (body || kind_of(body.error()) == error_kind::invalid_range)
        report_.ok("get", "what is stored can be read");
    else
        report_.failed("get", body.error().text);
}

/// \returns whether anything can be written.
awaitable<bool> object_probe::check_objects(std::string name) {
    const std::string text(test_content);
    put_options with;
    with.md5 = md5_of(text);
    with.metadata = {{"probe", "1"}};
    const auto put = co_await bucket_.put(name, body_of(text), with, until_);
    if (!put) {
        report_.failed("put", put.error().text);
        // The object may have been stored although the response was lost.
        if (kind_of(put.error()) == error_kind::timeout) static_cast<void>(co_await bucket_.del(name, late()));
        co_return false;
    }
    switch (judge_etag(*put, *with.md5)) {
        case etag_evidence::confirms:
            report_.ok("put", "the ETag is the MD5");
            break;
        case etag_evidence::nothing:
            report_.note("put", "the ETag is not the MD5 (encryption by KMS?); Content-MD5 protects writes");
            break;
        case etag_evidence::contradicts:
            report_.note(
                "put",
                "the ETag looks like an MD5 and is another one: the daemon reads its first block back after each "
                "start, and then relies on Content-MD5");
            break;
    }

    co_await check_reading(name);
    co_await check_digest(name + "-digest");
    co_await check_condition(name);
    co_await check_copy(name, name + "-copy");

    const auto deleted = co_await bucket_.del(name, late());
    if (!deleted) {
        report_.failed("delete", fmt::format("{} The object {} is left behind.", deleted.error().text, name));
        co_return true;
    }
    const auto gone = co_await bucket_.head(name, late());
    // Without s3:ListBucket S3 denies access to objects that do not exist.
    const bool hidden = !gone && !may_list_ && kind_of(gone.error()) == error_kind::access_denied;
    if (gone) {
        report_.failed("delete", "a deleted object is still there: is this bucket locked or eventually consistent?");
    } else if (gone.error() != errc::not_found && !hidden) {
        report_.failed("delete", gone.error().text);
    } else {
        report_.ok("delete", "deleted objects are gone");
    }
    co_return true;
}

awaitable<void> object_probe::check_reading(std::string name) {
    const std::string text(test_content);
    const auto info = co_await bucket_.head(name, until_);
    const auto whole = co_await get_text(bucket_, name, {}, until_);
    const auto part = co_await get_text(bucket_, name, {.range = byte_range{5, 6}}, until_);
    if (!info || !whole || !part) {
        report_.failed("get", (!info ? info.error() : !whole ? whole.error() : part.error()).text);
    } else if (*whole != text || *part != text.substr(5, 6)) {
        report_.failed("get", "what was read is not what was written: do not use this service");
    } else if (info->find_metadata("probe") != "1") {
        report_.note("get", fmt::format("metadata is not stored ({})", join(info->metadata)));
    } else {
        report_.ok("get", "whole, in part, and with metadata");
    }
}

/// A wrong Content-MD5 must be refused: writes rely on it.
awaitable<void> object_probe::check_digest(std::string name) {
    put_options wrong;
    wrong.md5 = md5_of("something else");
    const auto put = co_await bucket_.put(name, body_of(test_content), wrong, until_);
    if (put) {
        static_cast<void>(co_await bucket_.del(name, late()));
        report_.failed(
            "digest",
            "the service takes a body that is not what Content-MD5 says: damage on the way would go unnoticed");
    } else if (kind_of(put.error()) != error_kind::bad_digest && kind_of(put.error()) != error_kind::invalid) {
        report_.failed("digest", put.error().text);
    } else {
        report_.ok("digest", "a damaged body is refused");
    }
}

/// A conditional PUT, only if there is no such object. Without it the driver needs more requests.
awaitable<void> object_probe::check_condition(std::string name) {
    put_options how;
    how.md5 = md5_of(test_content);
    how.metadata = {{"probe", "1"}};
    how.if_absent = true;
    const auto again = co_await bucket_.put(name, body_of(test_content), how, until_);
    const auto kind = again ? error_kind::unsupported : kind_of(again.error());
    if (kind == error_kind::precondition) {
        report_.ok("condition", "If-None-Match is honoured: a small new block costs two requests");
    } else if (kind == error_kind::unsupported || kind == error_kind::invalid) {
        report_.ok("condition", "the service does not honour If-None-Match: a small new block costs a GET more");
    } else {
        report_.failed("condition", again.error().text);
    }
}

awaitable<void> object_probe::check_copy(std::string name, std::string to) {
    const auto copied = co_await bucket_.copy(name, to, {}, until_);
    if (!copied) {
        report_.failed("copy", copied.error().text);
        co_return;
    }
    const auto content = co_await get_text(bucket_, to, {}, until_);
    // Onto itself: renews the object's time.
    const auto touched = co_await bucket_.copy(to, to, {.replace_metadata = name_values{{"probe", "2"}}}, until_);
    const auto deleted = co_await bucket_.del(to, late());
    if (!content || *content != test_content) {
        report_.failed("copy", content ? "the copy is not the original" : content.error().text);
    } else if (!touched) {
        report_.note("copy", "objects cannot be copied onto themselves: " + touched.error().text);
    } else if (!deleted) {
        report_.failed("copy", fmt::format("{} The object {} is left behind.", deleted.error().text, to));
    } else {
        report_.ok("copy", "objects can be copied, as trash needs it");
    }
}

/// Needed for blocks of unknown length, and for large ones in parts.
awaitable<void> object_probe::check_multipart(std::string name) {
    const auto id = co_await bucket_.create_multipart(name, {}, until_);
    if (!id) {
        report_.note("multipart",
                     id.error().text + " Only uploads without a Content-Length need it, and they will fail.");
        co_return;
    }
    const auto uploads = co_await bucket_.list_uploads(name, "", "", until_);
    const auto aborted = co_await bucket_.abort_multipart(name, *id, late());
    if (!aborted) {
        report_.note("multipart",
                     fmt::format("{} Unfinished uploads stay and cost money: allow "
                                 "s3:AbortMultipartUpload, and let a lifecycle rule of the bucket abort them.",
                                 aborted.error().text));
    } else if (!uploads) {
        report_.note("multipart",
                     fmt::format("multipart uploads work, but those left by a killed daemon are not found "
                                 "({}): allow s3:ListBucketMultipartUploads, or let a lifecycle rule of the "
                                 "bucket abort them",
                                 without_advice(uploads.error())));
    } else {
        report_.ok("multipart", "multipart uploads can be created, listed and aborted");
    }
}

/// The deadline of clean-up, which runs also after `until_`.
deadline object_probe::late() const {
    return until_.is_never() ? until_ : deadline(until_.at() + limits::s3_probe_cleanup);
}

}  // namespace keepstore::s3
