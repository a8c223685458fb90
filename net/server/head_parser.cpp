#include "net/server/head_parser.hpp"

#include "base/hex.hpp"
#include "net/http/text.hpp"
#include "net/limits.hpp"

#include <boost/beast/http/basic_parser.hpp>

#include <algorithm>

namespace keepstore::net {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr character_set host_characters = letters_digits_and("!$%&()*+,-.:;=[]'_~");  // As net/http accepts.

bool is_control(char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 || u == 0x7f;
}

/// "METHOD SP target SP HTTP/1.x", each part as RFC 9112 3 has it.
std::optional<refusal> check_request_line(std::string_view line) {
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return bad_request("malformed request line");
    const auto method = line.substr(0, first);
    const auto target = line.substr(first + 1, last - first - 1);
    const auto version = line.substr(last + 1);
    if (!is_token(method)) return bad_request("malformed method");
    const auto unfit = [](char c) { return is_control(c) || c == ' ' || c == '#'; };
    if (target.empty() || std::ranges::any_of(target, unfit)) return bad_request("malformed request target");
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' ||
        !is_digit(version[7])) {
        return bad_request("malformed HTTP version");
    }
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        return refusal{505, "505 HTTP Version Not Supported: unsupported protocol version"};
    }
    return std::nullopt;
}

std::optional<refusal> check_header_line(std::string_view line) {
    if (line.front() == ' ' || line.front() == '\t') return bad_request("folded header line");
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return bad_request("malformed header line");
    if (!is_token(line.substr(0, colon))) return bad_request("invalid header name");
    if (!is_header_value(line.substr(colon + 1))) return bad_request("invalid header value");
    return std::nullopt;
}

/// The headers that frame the body, collected before Beast sees them: Beast drops those that it refuses.
struct framing {
    unsigned lengths = 0;
    unsigned codings = 0;
    std::string_view length;
    std::string_view coding;

    void note(std::string_view line) {
        const auto colon = line.find(':');
        const auto name = line.substr(0, colon);
        if (iequals(name, "Content-Length")) {
            ++lengths;
            length = trim(line.substr(colon + 1));
        } else if (iequals(name, "Transfer-Encoding")) {
            ++codings;
            coding = trim(line.substr(colon + 1));
        }
    }
};

/// Refuses what Beast would accept, or would refuse without a reason.
std::optional<refusal> check_lines(std::string_view text, framing& body) {
    std::size_t headers = 0;
    bool request_line = true;
    while (true) {
        const auto end = text.find("\r\n");
        if (end == std::string_view::npos) return bad_request("malformed line end");
        const auto line = text.substr(0, end);
        text.remove_prefix(end + 2);
        if (line.empty()) {
            if (request_line || !text.empty()) return bad_request("malformed request line");
            return std::nullopt;
        }
        if (!request_line && ++headers > limits::request_headers_max) return head_too_large();
        if (auto bad = request_line ? check_request_line(line) : check_header_line(line)) return bad;
        if (!request_line) body.note(line);
        request_line = false;
    }
}

/// Beast's parser, which passes every part straight to a request_head.
class beast_head_parser final : public http::basic_parser<true> {
  public:
    explicit beast_head_parser(request_head& into) : into_(into) {
        header_limit(limits::request_head_bytes_max + 1);
        body_limit(boost::none);
    }

  private:
    using error_code = beast::error_code;
    using string_view = beast::string_view;

    static std::string_view view(string_view s) { return {s.data(), s.size()}; }

    void on_request_impl(http::verb, string_view method, string_view target, int version, error_code&) override {
        into_.method.assign(view(method));
        into_.target.assign(view(target));
        into_.version = static_cast<unsigned>(version);
    }
    void on_field_impl(http::field, string_view name, string_view value, error_code&) override {
        into_.headers.push_back({std::string(view(name)), std::string(view(value))});
    }
    void on_response_impl(int, string_view, int, error_code&) override {}
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(string_view body, error_code&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override { return body.size(); }
    void on_finish_impl(error_code&) override {}

    request_head& into_;
};

/// Framing (RFC 9112 6.3) in its only unambiguous forms.
std::optional<refusal> take_framing(const framing& body, bool version_10, request_head& head) {
    if (body.codings > 1 || (body.codings == 1 && !iequals(body.coding, "chunked"))) {
        return refusal{501, "Unsupported transfer encoding"};
    }
    if (body.lengths > 1) return bad_request("more than one Content-Length");
    if (body.lengths && body.codings) return bad_request("both Content-Length and Transfer-Encoding");
    if (body.codings && version_10) return bad_request("Transfer-Encoding in an HTTP/1.0 request");
    head.chunked = body.codings == 1;
    if (body.lengths == 0) return std::nullopt;
    head.content_length = parse_number<std::uint64_t>(body.length);
    if (!head.content_length) return bad_request("malformed Content-Length");
    return std::nullopt;
}

std::optional<refusal> take_host(request_head& head) {
    const header* host = nullptr;
    for (const auto& h : head.headers) {
        if (!iequals(h.name, "Host")) continue;
        if (host) return bad_request("too many Host headers");
        host = &h;
    }
    if (!host && head.version >= 11) return bad_request("missing required Host header");
    if (host && !consists_of(host_characters, host->value)) return bad_request("malformed Host header");
    return std::nullopt;
}

/// Origin form, absolute form (reduced to origin form, its authority replaces Host: RFC 9112 3.2.2), or "*".
std::optional<refusal> take_target(parsed_head& parsed) {
    auto& head = parsed.head;
    if (head.method == "CONNECT") return bad_request("CONNECT is not supported");
    if (head.target == "*") {
        parsed.options_asterisk = head.method == "OPTIONS";
        head.path = "*";
        return std::nullopt;
    }
    if (head.target.front() != '/') {
        const std::string_view target = head.target;
        const auto authority = target.find("://");
        const auto scheme = target.substr(0, std::min(authority, target.size()));
        if (!iequals(scheme, "http") && !iequals(scheme, "https")) return bad_request("malformed request target");
        const auto rest = target.substr(authority + 3);
        const auto path = rest.find_first_of("/?");
        const auto host = rest.substr(0, path);
        if (host.empty() || !consists_of(host_characters, host)) return bad_request("malformed request target");
        if (path == std::string_view::npos || rest[path] != '/') return bad_request("request target without a path");
        if (const auto at = find_header(head.headers, "Host"); at != head.headers.end()) {
            at->value.assign(host);
        } else {
            head.headers.push_back({"Host", std::string(host)});
        }
        head.target.erase(0, authority + 3 + path);
    }
    const std::string_view target = head.target;
    const auto question = target.find('?');
    if (question != std::string_view::npos) head.query.assign(target.substr(question + 1));
    auto path = percent_decode(target.substr(0, question));
    if (!path) return bad_request("malformed percent encoding");
    head.path = std::move(*path);
    return std::nullopt;
}

std::optional<refusal> take_options(parsed_head& parsed) {
    auto& head = parsed.head;
    bool close = false;
    bool keep_alive = false;
    for (const auto& [name, value] : head.headers) {
        if (iequals(name, "Connection")) {
            for_each_element(value, [&](std::string_view element) {
                close = close || iequals(element, "close");
                keep_alive = keep_alive || iequals(element, "keep-alive");
            });
        } else if (iequals(name, "Expect") && !value.empty()) {
            if (!iequals(value, "100-continue")) return refusal{417, ""};
            parsed.expects_continue = head.version >= 11;
        }
    }
    parsed.keep_alive = !close && (head.version >= 11 || keep_alive);
    // It is logged and sent back: dropped unless it looks like an identifier.
    std::erase_if(head.headers, [](const header& h) {
        const auto unprintable = [](char c) { return c < 0x21 || c > 0x7e; };
        return iequals(h.name, "X-Request-Id") &&
               (h.value.size() > limits::request_id_bytes_max || std::ranges::any_of(h.value, unprintable));
    });
    return std::nullopt;
}

}  // namespace

refusal bad_request(std::string_view reason) {
    refusal out{400, "400 Bad Request"};
    if (!reason.empty()) out.body.append(": ").append(reason);
    return out;
}

refusal head_too_large() {
    return {431, "431 Request Header Fields Too Large"};
}

std::optional<refusal> parse_head(std::string_view text, parsed_head& into) {
    auto& head = into.head;
    head.headers.clear();
    head.path.clear();
    head.query.clear();
    head.content_length.reset();
    head.chunked = false;
    into.expects_continue = false;
    into.options_asterisk = false;

    if (text.size() > limits::request_head_bytes_max) return head_too_large();
    framing body;
    if (auto bad = check_lines(text, body)) return bad;
    const bool version_10 = text.substr(0, text.find('\r')).ends_with("HTTP/1.0");
    if (auto bad = take_framing(body, version_10, head)) return bad;
    beast_head_parser parser(head);
    beast::error_code code;
    const auto used = parser.put(boost::asio::const_buffer(text.data(), text.size()), code);
    if (code == http::error::bad_value) return bad_request("invalid header value");
    if (code || used != text.size()) return bad_request("");
    if (auto bad = take_host(head)) return bad;
    if (auto bad = take_target(into)) return bad;
    return take_options(into);
}

}  // namespace keepstore::net
