#include "net/client/response_head.hpp"

#include "net/client/failure.hpp"
#include "net/http/text.hpp"
#include "net/limits.hpp"

namespace keepstore::net {
namespace {

std::unexpected<error> malformed(std::string_view why) {
    return fail(errc::io_error, std::string(why), failure::malformed);
}

/// "HTTP/1.x SP 3DIGIT [SP reason]"
result<bool> parse_status_line(std::string_view line, response_head& into) {
    if (!line.starts_with("HTTP/")) return malformed("the response is not HTTP");
    const bool version_10 = line.starts_with("HTTP/1.0 ");
    if (!version_10 && !line.starts_with("HTTP/1.1 ")) return malformed("the response is not HTTP/1");
    const auto rest = line.substr(9);
    const auto status = parse_number<unsigned>(rest.substr(0, 3));
    if (rest.size() < 3 || !status || *status < 100 || (rest.size() > 3 && rest[3] != ' ') || !is_header_value(rest)) {
        return malformed("malformed status line");
    }
    into.status = *status;
    into.keep_alive = !version_10;
    return version_10;
}

/// Collects what the headers say about framing and the connection.
class connection_options {
  public:
    explicit connection_options(response_head& into) : into_(into) {}

    /// \returns the error's text, or nothing.
    std::string_view note(const header_view& h) {
        if (iequals(h.name, "Content-Length")) return note_length(h.value);
        if (iequals(h.name, "Transfer-Encoding")) {
            if (into_.chunked || !iequals(h.value, "chunked")) return "unknown transfer encoding";
            into_.chunked = true;
        } else if (iequals(h.name, "Connection")) {
            for_each_element(h.value, [&](std::string_view element) {
                close_ = close_ || iequals(element, "close");
                keep_ = keep_ || iequals(element, "keep-alive");
            });
        } else if (iequals(h.name, "Keep-Alive")) {
            for_each_element(h.value, [&](std::string_view element) {
                const auto mark = element.find('=');
                if (mark == std::string_view::npos || !iequals(trim(element.substr(0, mark)), "timeout")) return;
                const auto number = parse_number<std::uint32_t>(trim(element.substr(mark + 1)));
                if (number) into_.keep_alive_timeout = std::chrono::seconds(*number);
            });
        }
        return {};
    }

    std::string_view finish(bool version_10) {
        if (into_.chunked && into_.content_length) return "both Content-Length and Transfer-Encoding";
        if (into_.chunked && version_10) return "Transfer-Encoding in an HTTP/1.0 response";
        if (keep_) into_.keep_alive = true;
        if (close_) into_.keep_alive = false;
        return {};
    }

  private:
    std::string_view note_length(std::string_view value) {
        const auto number = parse_number<std::uint64_t>(value);
        if (!number) return "malformed Content-Length";
        // Some servers send it twice; only a contradiction is dangerous (RFC 9112 6.3).
        if (into_.content_length && *into_.content_length != *number) return "contradicting Content-Length headers";
        into_.content_length = number;
        return {};
    }

    response_head& into_;
    bool close_ = false;
    bool keep_ = false;
};

}  // namespace

result<void> parse_response_head(std::string_view text, response_head& into) {
    into.headers.clear();
    into.content_length.reset();
    into.keep_alive_timeout.reset();
    into.chunked = false;
    bool version_10 = false;
    connection_options options(into);
    for (bool first = true;; first = false) {
        const auto end = text.find("\r\n");
        if (end == std::string_view::npos) return malformed("malformed line end");
        const auto line = text.substr(0, end);
        text.remove_prefix(end + 2);
        if (first) {
            KS_TRY(version_10, parse_status_line(line, into));
            continue;
        }
        if (line.empty()) break;
        if (into.headers.size() == limits::net_headers_max) {
            return fail(errc::io_error, "more header lines than allowed", failure::head_too_large);
        }
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
            return malformed("malformed header line");
        const header_view h{line.substr(0, colon), trim(line.substr(colon + 1))};
        if (!is_header_value(h.value)) return malformed("malformed header value");
        if (const auto wrong = options.note(h); !wrong.empty()) return malformed(wrong);
        into.headers.push_back(h);
    }
    if (!text.empty()) return malformed("malformed line end");
    if (const auto wrong = options.finish(version_10); !wrong.empty()) return malformed(wrong);
    return success();
}

}  // namespace keepstore::net
