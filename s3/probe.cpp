#include "s3/probe.hpp"

#include "s3/bucket_address.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace keepstore::s3 {
namespace {

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
    auto got = co_await bucket.get(std::move(key), std::move(options), until);
    co_return co_await cloud::text_of(std::move(got));
}

/// Tries the operations on objects that a volume needs. Awaited in place; client and report outlive it.
class object_probe {
  public:
    /// \param may_list  the keys may list the bucket.
    object_probe(const client& bucket, probe_report& report, bool may_list)
        : bucket_(bucket), report_(report), until_(report.until()), may_list_(may_list) {}

    /// For read-only volumes: reads some stored object. `key` is empty if none is known.
    [[nodiscard]] awaitable<void> check_stored(std::string key) {
        if (key.empty()) {
            report_.note("get",
                         may_list_ ? "nothing is stored that could be read"
                                   : "no object is known that could be read: whether these keys may read is not known");
            co_return;
        }
        const auto read = co_await bucket_.get(std::move(key), {.range = byte_range{0, 1}}, until_);
        cloud::report_stored(report_, read);
    }

    /// Writes objects, reads, copies and deletes them.
    [[nodiscard]] awaitable<void> check_writing() {
        const auto name = cloud::unique_probe_name();
        const bool stored = co_await check_objects(name);
        if (stored) co_await check_multipart(name + "-parts");
    }

  private:
    /// \returns whether anything can be written.
    [[nodiscard]] awaitable<bool> check_objects(std::string name) {
        const std::string text(probe_content);
        put_options with;
        with.md5 = md5_of(text);
        with.metadata = {{"probe", "1"}};
        const auto put = co_await bucket_.put(name, body_of(text), with, until_);
        if (!put) {
            report_.failed("put", put.error().text);
            // The object may have been stored although the response was lost.
            if (kind_of(put.error()) == error_kind::timeout)
                static_cast<void>(co_await bucket_.del(name, report_.late()));
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

        // Without s3:ListBucket S3 denies access to objects that do not exist.
        co_await cloud::check_delete(report_, "object", name, bucket_.del(name, report_.late()),
                                     bucket_.head(name, report_.late()),
                                     "is this bucket locked or eventually consistent?", !may_list_);
        co_return true;
    }

    [[nodiscard]] awaitable<void> check_reading(std::string name) {
        const auto info = co_await bucket_.head(name, until_);
        const auto whole = co_await get_text(bucket_, name, {}, until_);
        const auto part = co_await get_text(bucket_, name, {.range = byte_range{5, 6}}, until_);
        if (!cloud::report_read(report_, info, whole, part)) co_return;
        if (info->find_metadata("probe") != "1") {
            report_.note("get", fmt::format("metadata is not stored ({})", join(info->metadata)));
        } else {
            report_.ok("get", "whole, in part, and with metadata");
        }
    }

    /// A wrong Content-MD5 must be refused: writes rely on it.
    [[nodiscard]] awaitable<void> check_digest(std::string name) {
        put_options wrong;
        wrong.md5 = md5_of("something else");
        const auto put = co_await bucket_.put(name, body_of(probe_content), wrong, until_);
        if (put) static_cast<void>(co_await bucket_.del(name, report_.late()));
        cloud::report_digest(report_, put ? nullptr : &put.error());
    }

    /// A conditional PUT, only if there is no such object. Without it the driver needs more requests.
    [[nodiscard]] awaitable<void> check_condition(std::string name) {
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

    [[nodiscard]] awaitable<void> check_copy(std::string name, std::string to) {
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
    [[nodiscard]] awaitable<void> check_multipart(std::string name) {
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

    const client& bucket_;
    probe_report& report_;
    const deadline until_;
    const bool may_list_;
};

/// Where the name of the bucket in the host name is to blame, says what helps.
awaitable<std::string> hint_at_path_style(const cloud::probe_target& where, std::string bucket) {
    if (!where.to.host.starts_with(bucket + ".")) co_return "";
    const auto base = co_await cloud::resolve_host(where, where.to.host.substr(bucket.size() + 1));
    co_return base ? ", but the endpoint itself has: set UsePathStyle to true" : "";
}

}  // namespace

awaitable<bool> probe_bucket(client_options options, std::shared_ptr<credentials_cache> keys, probe_extent extent,
                             probe_output out, deadline until) {
    probe_report report(std::move(out), until);
    if (options.region.empty()) {
        if (options.endpoint.empty()) co_return report.failed("address", "one of Endpoint and Region must be given");
        options.region = "us-east-1";
    }
    const auto address = make_bucket_address({.endpoint = options.endpoint,
                                              .region = options.region,
                                              .bucket = options.bucket,
                                              .path_style = options.path_style});
    if (!address) co_return report.failed("address", address.error().text);
    report.ok("address", fmt::format("{}, bucket in the {}", net::to_string(address->to),
                                     address->path_prefix.ends_with(options.bucket) ? "path" : "host name"));
    const cloud::probe_target where{.to = address->to, .target = address->path_of(""), .how = options};
    const auto hint = [&] { return hint_at_path_style(where, options.bucket); };
    const bool connected = co_await cloud::check_connection(report, where, hint);
    if (!connected) co_return false;
    const auto found = co_await keys->get(until);
    if (!cloud::report_credentials(report, found)) co_return false;
    const auto bucket = client::make(options, keys);
    if (!bucket) co_return report.failed("client", bucket.error().text);

    // A listing, not a HEAD: its errors have a body with the reason.
    const auto page = co_await bucket->list({.keys_max = 1}, until);
    // The daemon can use a bucket that may not be listed. The next steps show which other operations are allowed.
    const bool may_list = page || kind_of(page.error()) != error_kind::access_denied;
    if (page) {
        report.ok("bucket", fmt::format("{} is there and can be listed", options.bucket));
    } else if (!may_list) {
        report.note("bucket",
                    fmt::format("these keys may not list it ({}). Without s3:ListBucket blocks can be written and "
                                "read, but there is no index (keep-balance stops), trash is never emptied, and a "
                                "block that is not there may be answered 503 instead of 404: allow s3:ListBucket",
                                short_text(page.error())));
    } else if (kind_of(page.error()) == error_kind::unsupported && !options.list_v1) {
        co_return report.failed("bucket", page.error().text + " (the service may only know the old form of listings)");
    } else {
        co_return report.failed("bucket", page.error().text);
    }
    if (bucket->region() != options.region) {
        report.note(
            "region",
            fmt::format("the bucket is in {0}, not in {1}: set Region to {0} to save a request after each start",
                        bucket->region(), options.region));
    }

    object_probe objects(*bucket, report, may_list);
    if (extent == probe_extent::read_only) {
        co_await objects.check_stored(page && !page->objects.empty() ? page->objects.front().key : std::string());
    } else {
        co_await objects.check_writing();
    }
    co_return report.good();
}

}  // namespace keepstore::s3
