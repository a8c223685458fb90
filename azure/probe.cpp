#include "azure/probe.hpp"

#include "azure/blob_address.hpp"
#include "cloud/time.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::azure {
namespace {

using cloud::probe_content;

/// Removes the advice, in Azure's terms, from the text of an error.
std::string_view short_text(const error& e) {
    return cloud::without_advice(e, advice(kind_of(e)));
}

awaitable<result<std::string>> get_text(const client& container, std::string key, get_options options, deadline until) {
    co_return co_await cloud::text_of(co_await container.get(std::move(key), std::move(options), until));
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
        const auto body = co_await container_.get(std::move(key), {.range = byte_range{0, 1}}, until_);
        // An empty blob has no first byte.
        if (body || kind_of(body.error()) == error_kind::invalid_range) {
            report_.ok("get", "what is stored can be read");
        } else {
            report_.failed("get", body.error().text);
        }
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
        co_await check_delete(name);
    }

  private:
    awaitable<void> check_reading(std::string name) {
        const auto info = co_await container_.head(name, until_);
        const auto whole = co_await get_text(container_, name, {}, until_);
        const auto part = co_await get_text(container_, name, {.range = byte_range{5, 6}}, until_);
        if (!info || !whole || !part) {
            report_.failed("get", (!info ? info.error() : !whole ? whole.error() : part.error()).text);
        } else if (*whole != probe_content || *part != probe_content.substr(5, 6)) {
            report_.failed("get", "what was read is not what was written: do not use this service");
        } else if (info->content_md5 != cloud::md5_of(probe_content)) {
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
        if (put) {
            static_cast<void>(co_await container_.del(name, {}, report_.late()));
            report_.failed("digest",
                           "the service takes a body that is not what Content-MD5 says: damage on the way "
                           "would go unnoticed");
        } else if (kind_of(put.error()) != error_kind::bad_digest && kind_of(put.error()) != error_kind::invalid) {
            report_.failed("digest", put.error().text);
        } else {
            report_.ok("digest", "a damaged body is refused");
        }
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

    awaitable<void> check_delete(std::string name) {
        const auto deleted = co_await container_.del(name, {}, report_.late());
        if (!deleted) {
            report_.failed("delete", fmt::format("{} The blob {} is left behind.", deleted.error().text, name));
            co_return;
        }
        const auto gone = co_await container_.head(name, report_.late());
        if (gone) {
            report_.failed("delete", "a deleted blob is still there: is this container locked?");
        } else if (gone.error() != errc::not_found) {
            report_.failed("delete", gone.error().text);
        } else {
            report_.ok("delete", "deleted blobs are gone");
        }
    }

    const client container_;
    cloud::probe_report& report_;
    const deadline until_;
};

/// The steps before, with the state that they share.
class container_probe {
  public:
    container_probe(client_options options, authorization how, probe_extent extent, probe_output out, deadline until)
        : options_(std::move(options)),
          how_(std::move(how)),
          extent_(extent),
          report_(std::move(out), until),
          until_(until) {}

    awaitable<bool> run() {
        const auto address = make_blob_address({.endpoint = options_.endpoint,
                                                .suffix = options_.suffix,
                                                .account = options_.account,
                                                .container = options_.container});
        if (!address) co_return report_.failed("address", address.error().text);
        report_.ok("address", fmt::format("{}, container {}", net::to_string(address->to), options_.container));
        const auto where = cloud::make_probe_target(options_, address->to, address->path_of(""));
        const bool named = co_await cloud::check_name(report_, where, suspect_account);
        if (!named) co_return false;
        const bool connected = co_await cloud::check_connection(report_, where);
        if (!connected) co_return false;
        const bool authorised = co_await check_credentials();
        if (!authorised) co_return false;
        auto made = client::make(options_, how_);
        if (!made) co_return report_.failed("client", made.error().text);
        const client container = std::move(*made);
        const bool there = co_await check_container(container);
        if (!there) co_return false;
        blob_probe blobs(container, report_);
        if (extent_ == probe_extent::read_only) {
            co_await blobs.check_stored(stored_key_);
        } else {
            co_await blobs.check_writing();
        }
        co_return report_.good();
    }

  private:
    /// Every account has a name of its own in the DNS.
    static awaitable<std::string> suspect_account() {
        co_return ": check StorageAccountName (an account that does not exist has no host name), the endpoint and the "
                  "name servers of this host";
    }

    awaitable<bool> check_credentials() {
        const auto* const cache = std::get_if<token_cache>(&how_);
        if (!cache) co_return report_.ok("credentials", describe(how_));
        const auto token = co_await (*cache)->get(until_);
        if (!token) co_return report_.failed("credentials", token.error().text);
        co_return report_.ok(
            "credentials", fmt::format("from {}{}", token->source,
                                       token->expires_at ? ", good until " + cloud::format_http_date(*token->expires_at)
                                                         : std::string()));
    }

    awaitable<bool> check_container(const client& container) {
        const auto page = co_await container.list({.keys_max = 1}, until_);
        if (!page) co_return report_.failed("container", page.error().text);
        if (!page->objects.empty()) stored_key_ = page->objects.front().key;
        const auto info = co_await container.head_container(until_);
        if (info && info->immutable && extent_ == probe_extent::read_and_write) {
            co_return report_.failed("container",
                                     "an immutability policy or legal hold is in the way: blocks could be neither "
                                     "touched nor deleted");
        }
        if (info && info->is_public) {
            report_.note("container",
                         fmt::format("{} can be listed, and its blobs can be read without credentials: set its "
                                     "access level to private",
                                     options_.container));
        } else if (info || kind_of(info.error()) == error_kind::access_denied) {
            report_.ok("container", fmt::format("{} is there and can be listed", options_.container));
        } else {
            report_.note("container", fmt::format("{} can be listed, but its properties cannot be read ({})",
                                                  options_.container, short_text(info.error())));
        }
        co_return true;
    }

    const client_options options_;
    const authorization how_;
    const probe_extent extent_;
    cloud::probe_report report_;
    const deadline until_;
    std::string stored_key_;  ///< The key of some blob in the container; empty if there is none.
};

}  // namespace

awaitable<bool> probe_container(client_options options, authorization how, probe_extent extent, probe_output out,
                                deadline until) {
    container_probe p(std::move(options), std::move(how), extent, std::move(out), until);
    co_return co_await p.run();
}

}  // namespace keepstore::azure
