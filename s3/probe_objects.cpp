#include "s3/probe_objects.hpp"

#include <fmt/format.h>

namespace keepstore::s3 {
namespace {

using cloud::body_of;
using cloud::md5_of;
using cloud::probe_content;

std::string join(const name_values& values) {
    std::string out;
    for (const auto& [name, value] : values) out += name + "=" + value + ";";
    return out;
}

/// Removes the advice, in S3's terms, from the text of an error.
std::string_view short_text(const error& e) {
    return cloud::without_advice(e, advice(kind_of(e)));
}

awaitable<result<std::string>> get_text(const client& bucket, std::string key, get_options options, deadline until) {
    co_return co_await cloud::text_of(co_await bucket.get(std::move(key), std::move(options), until));
}

}  // namespace

awaitable<void> object_probe::check_writing() {
    const auto name = cloud::unique_probe_name();
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
    const std::string text(probe_content);
    put_options with;
    with.md5 = md5_of(text);
    with.metadata = {{"probe", "1"}};
    const auto put = co_await bucket_.put(name, body_of(text), with, until_);
    if (!put) {
        report_.failed("put", put.error().text);
        // The object may have been stored although the response was lost.
        if (kind_of(put.error()) == error_kind::timeout) static_cast<void>(co_await bucket_.del(name, report_.late()));
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

    const auto deleted = co_await bucket_.del(name, report_.late());
    if (!deleted) {
        report_.failed("delete", fmt::format("{} The object {} is left behind.", deleted.error().text, name));
        co_return true;
    }
    const auto gone = co_await bucket_.head(name, report_.late());
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
    const std::string text(probe_content);
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
    const auto put = co_await bucket_.put(name, body_of(probe_content), wrong, until_);
    if (put) {
        static_cast<void>(co_await bucket_.del(name, report_.late()));
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
    how.md5 = md5_of(probe_content);
    how.metadata = {{"probe", "1"}};
    how.if_absent = true;
    const auto again = co_await bucket_.put(name, body_of(probe_content), how, until_);
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
    const auto deleted = co_await bucket_.del(to, report_.late());
    if (!content || *content != probe_content) {
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
    const auto aborted = co_await bucket_.abort_multipart(name, *id, report_.late());
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
                                 short_text(uploads.error())));
    } else {
        report_.ok("multipart", "multipart uploads can be created, listed and aborted");
    }
}

}  // namespace keepstore::s3
