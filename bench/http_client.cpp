#include "bench/http_client.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace keepstore::bench {

namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool iequals(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

template <class Number>
bool parse_number(std::string_view text, Number& value) {
    const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    return ec == std::errc{} && rest == text.data() + text.size();
}

}  // namespace

server_address server_address::parse(std::string_view url) {
    constexpr std::string_view scheme = "http://";
    if (url.starts_with(scheme)) url.remove_prefix(scheme.size());
    while (url.ends_with('/')) url.remove_suffix(1);
    const auto slash = std::min(url.find('/'), url.size());
    const auto folder = url.substr(slash);
    url = url.substr(0, slash);
    const auto colon = url.rfind(':');
    if (colon == std::string_view::npos) throw std::invalid_argument("URL without a port");
    server_address address;
    address.host_header = std::string(url);
    address.folder = std::string(folder);
    address.socket.sin_family = AF_INET;
    std::uint16_t port = 0;
    if (!parse_number(url.substr(colon + 1), port)) throw std::invalid_argument("bad port in URL");
    address.socket.sin_port = htons(port);
    auto host = std::string(url.substr(0, colon));
    if (host == "localhost") host = "127.0.0.1";
    if (::inet_pton(AF_INET, host.c_str(), &address.socket.sin_addr) != 1) {
        throw std::invalid_argument("the host must be an IPv4 address: " + host);
    }
    return address;
}

head_state parse_response_head(std::string_view text, response_head& head) {
    const auto end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) return head_state::incomplete;
    head = response_head{};
    head.head_bytes = end + 4;
    auto lines = text.substr(0, end);
    auto line_end = std::min(lines.find("\r\n"), lines.size());
    const auto status_line = lines.substr(0, line_end);
    if (!status_line.starts_with("HTTP/1.") || status_line.size() < 12 ||
        !parse_number(status_line.substr(9, 3), head.status)) {
        return head_state::malformed;
    }
    while (line_end < lines.size()) {
        lines.remove_prefix(line_end + 2);
        line_end = std::min(lines.find("\r\n"), lines.size());
        const auto line = lines.substr(0, line_end);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) return head_state::malformed;
        const auto name = line.substr(0, colon);
        const auto value = trim(line.substr(colon + 1));
        if (iequals(name, "content-length")) {
            std::uint64_t length = 0;
            if (!parse_number(value, length)) return head_state::malformed;
            head.content_length = length;
        } else if (iequals(name, "connection")) {
            head.close = iequals(value, "close");
        } else if (iequals(name, "transfer-encoding")) {
            return head_state::malformed;  // No reply to a block request is chunked.
        }
    }
    if (head.status == 204 || head.status == 304) head.content_length = 0;
    return head_state::complete;
}

request_format::request_format(const server_address& server, std::string_view token)
    : folder_(server.folder), common_(fmt::format(" HTTP/1.1\r\nHost: {}\r\n", server.host_header)) {
    if (!token.empty()) common_ += fmt::format("Authorization: Bearer {}\r\n", token);
}

std::string request_format::target(std::string_view block) const {
    if (!folder_.empty()) block = block.substr(0, block.find('+'));
    return fmt::format("{}/{}", folder_, block);
}

std::string request_format::get(std::string_view block) const {
    return fmt::format("GET {}{}\r\n", target(block), common_);
}

std::string request_format::get_range(std::string_view block, std::uint64_t first, std::uint64_t last) const {
    return fmt::format("GET {}{}Range: bytes={}-{}\r\n\r\n", target(block), common_, first, last);
}

std::string request_format::put(std::string_view block, std::uint64_t content_length) const {
    return fmt::format("PUT {}{}Content-Length: {}\r\n\r\n", target(block), common_, content_length);
}

bool set_congestion(int fd, const std::string& name) {
    if (name.empty() ||
        ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) == 0) {
        return true;
    }
    // Without root only net.ipv4.tcp_allowed_congestion_control may be chosen. Then both sides use the
    // system's default, and scripts/bench warns of it.
    return errno == EPERM;
}

namespace {

// The port is left to connect(), which may use one again that goes to another server.
bool bind_source(int fd, in_addr source) {
    if (source.s_addr == 0) return true;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    sockaddr_in local{};
    local.sin_family = AF_INET;
    local.sin_addr = source;
    sockaddr address{};
    std::memcpy(&address, &local, sizeof local);
    return ::bind(fd, &address, sizeof local) == 0;
}

}  // namespace

int connect_socket(const server_address& server, const socket_options& options) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.receive_buffer_bytes > 0) {
        ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer_bytes, sizeof options.receive_buffer_bytes);
    }
    sockaddr address{};
    std::memcpy(&address, &server.socket, sizeof server.socket);
    if (!set_congestion(fd, options.congestion) || !bind_source(fd, options.source) ||
        (::connect(fd, &address, sizeof server.socket) != 0 && errno != EINPROGRESS)) {
        const int why = errno;
        ::close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

}  // namespace keepstore::bench
