#include "cloud/probe.hpp"

#include "cloud/limits.hpp"
#include "cloud/time.hpp"
#include "cloud/transport_error.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <random>
#include <span>

namespace keepstore::cloud {
namespace {

awaitable<bool> check_name(probe_report& report, const probe_target& where,
                           const std::function<awaitable<std::string>()>& hint) {
    if (const auto* via = where.how.proxies.find(where.to)) {
        co_return report.ok("name",
                            fmt::format("looked up by the proxy {} of the environment", net::to_string(via->to)));
    }
    const auto found = co_await resolve_host(where, where.to.host);
    if (found && *found == where.to.host) co_return report.ok("name", "none: Endpoint is an address");
    if (found) co_return report.ok("name", fmt::format("{} is {}", where.to.host, *found));
    const auto text = fmt::format("{} has no address ({})", where.to.host, found.error().text);
    auto more = co_await hint();
    if (more.empty()) more = ": check the spelling of Endpoint and the name servers of this host";
    co_return report.failed("name", text + more);
}

}  // namespace

std::string to_text(const probe_line& line) {
    using outcome = probe_line::outcome;
    const auto* word = line.result == outcome::ok ? "ok" : line.result == outcome::note ? "note" : "FAILED";
    auto out = fmt::format("{}: {}: {}", word, line.step, line.text);
    // Parts of the text come from servers: no control characters for the terminal.
    std::ranges::replace_if(out, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
    return out;
}

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

deadline probe_report::late() const {
    return until_.is_never() ? until_ : deadline(until_.at() + limits::cloud_probe_cleanup);
}

awaitable<result<std::string>> resolve_host(const probe_target& where, std::string host) {
    for (const auto& [name, address] : where.how.hosts) {
        if (name == host) co_return address;
    }
    const auto executor = co_await asio::this_coro::executor;
    asio::ip::tcp::resolver resolver(executor);
    const auto [code, found] = co_await resolver.async_resolve(host, "", use_tuple);
    if (code) co_return fail(errc::unavailable, code.message());
    std::string list;
    for (const auto& entry : found) {
        const auto address = entry.endpoint().address().to_string();
        if (list.find(address) == std::string::npos) list += (list.empty() ? "" : ", ") + address;
    }
    co_return list;
}

awaitable<bool> check_connection(probe_report& report, const probe_target& where,
                                 std::function<awaitable<std::string>()> hint) {
    const bool named = co_await check_name(report, where, hint);
    if (!named) co_return false;
    const auto http = make_http(where.how);
    if (!http) co_return report.failed("connection", http.error().text);
    // Without a signature: any response shows that there is an HTTP server.
    net::request ask{.method = "HEAD", .to = where.to, .target = where.target};
    ask.timing.connect = where.how.connect_timeout;
    ask.timing.first_byte = where.how.read_timeout;
    const auto asked_at = where.how.now();
    const auto response = co_await http->send(std::move(ask), report.until());
    if (!response) co_return report.failed("connection", from_transport(response.error()).text);
    const auto server = response->get("server");
    const auto* const security = !where.to.tls            ? "without TLS"
                                 : where.how.tls_insecure ? "with TLS, but the certificate is not verified"
                                                          : "with TLS, the certificate is valid";
    report.ok("connection", fmt::format("{}{}{}", security, server.empty() ? "" : ", the server is ", server));
    const auto date = parse_http_date(response->get("date"));
    if (!date) co_return report.note("clock", "the response has no Date");
    const auto off = std::chrono::duration_cast<std::chrono::seconds>(*date - asked_at);
    if (std::chrono::abs(off) > limits::cloud_clock_skew_tolerated) {
        co_return report.note(
            "clock", fmt::format("this machine and the service differ by {} seconds; requests will be signed with the "
                                 "service's time, but set the clock right (NTP)",
                                 off.count()));
    }
    co_return report.ok("clock", fmt::format("within {} seconds of the service's", std::chrono::abs(off).count() + 1));
}

bool report_credentials(probe_report& report, const result<credentials>& found) {
    if (!found) return report.failed("credentials", found.error().text);
    const auto until = found->expires_at ? ", good until " + format_http_date(*found->expires_at) : std::string();
    return report.ok("credentials", fmt::format("from {}{}", found->source, until));
}

std::string_view without_advice(const error& e, std::string_view advice) {
    const std::string_view text = e.text;
    const auto at = text.find(advice);
    return at == std::string_view::npos || at < 2 ? text : text.substr(0, at - 2);
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

std::string unique_probe_name() {
    std::random_device random;
    return fmt::format("keepstore-probe/{:08x}{:08x}", random(), random());
}

awaitable<result<std::string>> text_of(result<object_download> download) {
    if (!download) co_return std::unexpected(download.error());
    std::string out(static_cast<std::size_t>(download->length()), '\0');
    KS_CO_CHECK(co_await download->read_full(std::as_writable_bytes(std::span(out))));
    co_return out;
}

void report_stored(probe_report& report, const result<object_download>& read) {
    // An empty object has no first byte.
    if (read || kind_of(read.error()) == error_kind::invalid_range) {
        report.ok("get", "what is stored can be read");
    } else {
        report.failed("get", read.error().text);
    }
}

bool report_read(probe_report& report, const result<object_info>& info, const result<std::string>& whole,
                 const result<std::string>& part) {
    if (!info || !whole || !part) {
        return report.failed("get", (!info ? info.error() : !whole ? whole.error() : part.error()).text);
    }
    if (*whole != probe_content || *part != probe_content.substr(5, 6)) {
        return report.failed("get", "what was read is not what was written: do not use this service");
    }
    return true;
}

void report_digest(probe_report& report, const error* refused) {
    if (!refused) {
        report.failed("digest",
                      "the service takes a body that is not what Content-MD5 says: damage on the way would go "
                      "unnoticed");
    } else if (kind_of(*refused) != error_kind::bad_digest && kind_of(*refused) != error_kind::invalid) {
        report.failed("digest", refused->text);
    } else {
        report.ok("digest", "a damaged body is refused");
    }
}

awaitable<void> check_delete(probe_report& report, std::string_view noun, std::string name, awaitable<result<void>> del,
                             awaitable<result<object_info>> head, std::string_view if_there, bool may_be_hidden) {
    const auto deleted = co_await std::move(del);
    if (!deleted) {
        report.failed("delete", fmt::format("{} The {} {} is left behind.", deleted.error().text, noun, name));
        co_return;
    }
    const auto gone = co_await std::move(head);
    const bool hidden = !gone && may_be_hidden && kind_of(gone.error()) == error_kind::access_denied;
    if (gone) {
        report.failed("delete", fmt::format("a deleted {} is still there: {}", noun, if_there));
    } else if (gone.error() != errc::not_found && !hidden) {
        report.failed("delete", gone.error().text);
    } else {
        report.ok("delete", fmt::format("deleted {}s are gone", noun));
    }
}

}  // namespace keepstore::cloud
