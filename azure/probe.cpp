#include "azure/probe.hpp"

#include "azure/blob_address.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::azure {
namespace {

/// Removes the advice, in Azure's terms, from the text of an error.
std::string_view short_text(const error& e) {
    return cloud::without_advice(e, advice(kind_of(e)));
}

awaitable<result<std::string>> get_text(const client& container, std::string key, get_options options, deadline until) {
    auto got = co_await container.get(std::move(key), std::move(options), until);
    co_return co_await cloud::text_of(std::move(got));
}

put_options described(std::string_view content) {
    return {.md5 = cloud::md5_of(content), .metadata = {{"probe", "1"}}};
}

/// The steps with blobs. Awaited in place; the report outlives it.
class blob_probe {
  public:
    blob_probe(client container, cloud::probe_report& report)
        : container_(std::move(container)), report_(report), until_(report.until()) {}

    /// For read-only volumes: reads some stored blob. `key` is empty if none is known.
    awaitable<void> check_stored(std::string key) {
        if (key.empty()) {
            report_.note("get", "nothing is stored that could be read");
            co_return;
        }
        const auto read = co_await container_.get(std::move(key), {.range = byte_range{0, 1}}, until_);
        cloud::report_stored(report_, read);
    }

    awaitable<void> check_writing() {
        // Without a slash: accounts with a hierarchical namespace would keep a directory.
        auto name = cloud::unique_probe_name();
        for (char& c : name) c = c == '/' ? '-' : c;
        const auto put = co_await container_.put(name, cloud::body_of(probe_content), described(probe_content), until_);
        if (!put) {
            report_.failed("put", put.error().text);
            // The blob may have been stored although the response was lost.
            if (kind_of(put.error()) == error_kind::timeout) {
                static_cast<void>(co_await container_.del(name, {}, report_.late()));
            }
            co_return;
        }
        report_.ok("put", "small blobs can be written");
        co_await check_reading(name);
        co_await check_digest(name + "-digest");
        co_await check_condition(name, put->etag);
        co_await cloud::check_delete(report_, "blob", name, container_.del(name, {}, report_.late()),
                                     container_.head(name, report_.late()), "is this container locked?");
    }

  private:
    awaitable<void> check_reading(std::string name) {
        const auto info = co_await container_.head(name, until_);
        const auto whole = co_await get_text(container_, name, {}, until_);
        const auto part = co_await get_text(container_, name, {.range = byte_range{5, 6}}, until_);
        if (!cloud::report_read(report_, info, whole, part)) co_return;
        if (info->content_md5 != cloud::md5_of(probe_content)) {
            report_.note("get",
                         "the service does not keep the MD5 of a blob: downloads that break while a block is "
                         "touched start again");
        } else {
            report_.ok("get", "whole, in part, and with its MD5");
        }
    }

    /// A wrong Content-MD5 must be refused: writes rely on it.
    awaitable<void> check_digest(std::string name) {
        const auto put =
            co_await container_.put(name, cloud::body_of(probe_content), described("something else"), until_);
        if (put) static_cast<void>(co_await container_.del(name, {}, report_.late()));
        cloud::report_digest(report_, put ? nullptr : &put.error());
    }

    /// Touch and trash change metadata under the condition that the blob is still the one that was judged.
    awaitable<void> check_condition(std::string name, std::string etag) {
        put_options if_absent = described(probe_content);
        if_absent.only.if_absent = true;
        const auto again = co_await container_.put(name, cloud::body_of(probe_content), if_absent, until_);
        const auto changed = co_await container_.set_metadata(name, {{"probe", "2"}}, {.if_match = etag}, until_);
        const auto late = co_await container_.set_metadata(name, {{"probe", "3"}}, {.if_match = etag}, until_);
        const auto info = co_await container_.head(name, until_);
        const auto refused = [](const auto& outcome) {
            return !outcome && kind_of(outcome.error()) == error_kind::precondition;
        };
        if (again || late) {
            report_.failed("condition",
                           "the service does not honour If-Match or If-None-Match: a block could be "
                           "deleted while it is written again; do not use this service");
        } else if (!refused(again) || !refused(late)) {
            report_.failed("condition", (!refused(again) ? again.error() : late.error()).text);
        } else if (!changed || !info) {
            report_.failed("metadata", (!changed ? changed.error() : info.error()).text);
        } else if (info->find_metadata("probe") != "2") {
            report_.failed("metadata", "the metadata that was written is not there: trash needs it");
        } else {
            report_.ok("condition", "If-Match and If-None-Match are honoured");
            report_.ok("metadata", "it can be replaced, as touch and trash need it");
        }
    }

    const client container_;
    cloud::probe_report& report_;
    const deadline until_;
};

/// Every account has a name of its own in the DNS.
awaitable<std::string> suspect_account() {
    co_return ": check StorageAccountName (an account that does not exist has no host name), the endpoint and the name "
              "servers of this host";
}

}  // namespace

awaitable<bool> probe_container(client_options options, authorization how, probe_extent extent, probe_output out,
                                deadline until) {
    cloud::probe_report report(std::move(out), until);
    const auto address = make_blob_address({.endpoint = options.endpoint,
                                            .suffix = options.suffix,
                                            .account = options.account,
                                            .container = options.container});
    if (!address) co_return report.failed("address", address.error().text);
    report.ok("address", fmt::format("{}, container {}", net::to_string(address->to), options.container));
    const cloud::probe_target where{.to = address->to, .target = address->path_of(""), .how = options};
    const bool connected = co_await cloud::check_connection(report, where, suspect_account);
    if (!connected) co_return false;
    if (const auto* const tokens = std::get_if<token_cache>(&how)) {
        const auto token = co_await (*tokens)->get(until);
        if (!cloud::report_credentials(report, token)) co_return false;
    } else {
        report.ok("credentials", describe(how));
    }
    const auto container = client::make(options, how);
    if (!container) co_return report.failed("client", container.error().text);

    const auto page = co_await container->list({.keys_max = 1}, until);
    if (!page) co_return report.failed("container", page.error().text);
    const auto info = co_await container->head_container(until);
    if (info && info->immutable && extent == probe_extent::read_and_write) {
        co_return report.failed("container",
                                "an immutability policy or legal hold is in the way: blocks could be neither touched "
                                "nor deleted");
    }
    if (info && info->is_public) {
        report.note("container",
                    fmt::format("{} can be listed, and its blobs can be read without credentials: set its access level "
                                "to private",
                                options.container));
    } else if (info || kind_of(info.error()) == error_kind::access_denied) {
        report.ok("container", fmt::format("{} is there and can be listed", options.container));
    } else {
        report.note("container", fmt::format("{} can be listed, but its properties cannot be read ({})",
                                             options.container, short_text(info.error())));
    }

    blob_probe blobs(*container, report);
    if (extent == probe_extent::read_only) {
        co_await blobs.check_stored(page->objects.empty() ? std::string() : page->objects.front().key);
    } else {
        co_await blobs.check_writing();
    }
    co_return report.good();
}

}  // namespace keepstore::azure
