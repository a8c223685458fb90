#include "net/client/request_head.hpp"

#include "net/http/text.hpp"
#include "net/limits.hpp"

#include <algorithm>
#include <array>

namespace keepstore::net {
namespace {

std::unexpected<error> invalid(std::string text) {
    return fail(errc::bad_request, "cannot send this HTTP request: " + text, failure::invalid_request);
}

}  // namespace

result<void> check_request(const request& r) {
    static constexpr std::array<std::string_view, 6> ours{"Connection", "Content-Length", "Transfer-Encoding",
                                                          "Expect",     "Upgrade",        "Trailer"};
    if (!is_token(r.method) || r.method == "CONNECT") return invalid("malformed method");
    if (!is_target(r.target) || r.target.front() != '/') return invalid("malformed target");
    if (r.to.host.empty() || r.to.port == 0 || !is_target(r.to.host)) return invalid("no host");
    if (!r.body.empty() && r.source) return invalid("two bodies");
    if (r.redirects_max > limits::net_redirects_max) return invalid("too many redirects allowed");
    for (const auto& h : r.headers) {
        if (!is_token(h.name)) return invalid("malformed header name");
        if (!is_header_value(h.value)) return invalid("malformed value of header " + h.name);
        if (std::ranges::any_of(ours, [&](std::string_view name) { return iequals(name, h.name); })) {
            return invalid("header " + h.name + " is made by the client");
        }
    }
    return success();
}

// CONNECT host:port HTTP/1.1
// Host: host:port
// Proxy-Authorization: Basic ...
std::string write_connect_head(const endpoint& to, const std::string& user_agent, const proxy& via) {
    const auto host = to.host.contains(':') ? "[" + to.host + "]" : to.host;
    const auto authority = host + ":" + std::to_string(to.port);
    std::string out = "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n";
    if (!via.authorization.empty()) out += "Proxy-Authorization: " + via.authorization + "\r\n";
    if (!user_agent.empty()) out += "User-Agent: " + user_agent + "\r\n";
    return out + "\r\n";
}

std::optional<std::uint64_t> announced_length(const request& r) {
    if (r.source) return r.source->size();
    std::uint64_t sum = 0;
    for (const auto& piece : r.body) sum += piece.size();
    const bool expected = r.method == "PUT" || r.method == "POST" || r.method == "PATCH";
    return sum > 0 || expected ? std::optional(sum) : std::nullopt;
}

std::string write_request_head(const request& r, const std::string& user_agent, const proxy* via) {
    std::string out;
    out.reserve(1024);
    out.append(r.method).append(" ");
    if (via) out.append("http://").append(host_header(r.to));
    out.append(r.target).append(" HTTP/1.1\r\n");
    const auto line = [&](std::string_view name, std::string_view value) {
        out.append(name).append(": ").append(value).append("\r\n");
    };
    if (!has_header(r.headers, "Host")) line("Host", host_header(r.to));
    if (via && !via->authorization.empty()) line("Proxy-Authorization", via->authorization);
    for (const auto& h : r.headers) line(h.name, h.value);
    if (!user_agent.empty() && !has_header(r.headers, "User-Agent")) line("User-Agent", user_agent);
    const auto length = announced_length(r);
    if (length) line("Content-Length", std::to_string(*length));
    if (r.expect_continue && length.value_or(0) > 0) line("Expect", "100-continue");
    return out.append("\r\n");
}

}  // namespace keepstore::net
