/// The little of HTTP/1.1 that a load generator needs: requests as text, response heads parsed,
/// sockets set up. Deliberately independent of the daemon's own HTTP code, so that a shared mistake
/// cannot hide.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::bench {

struct server_address {
    sockaddr_in socket{};
    std::string host_header;
    /// "/bucket", or empty for a block store: in it blocks are named by their hash alone, without
    /// "+size".
    std::string folder;

    /// "http://127.0.0.1:25107", "127.0.0.1:25107" or "http://127.0.0.1:8000/bucket"; IPv4 literals
    /// only. Throws std::invalid_argument.
    static server_address parse(std::string_view url);
};

struct response_head {
    int status = 0;
    std::size_t head_bytes = 0;  ///< up to and with the empty line
    /// Absent: no such header (a body then lasts until the connection closes, or is chunked:
    /// neither is expected).
    std::optional<std::uint64_t> content_length;
    bool close = false;
};

enum class head_state { incomplete, complete, malformed };

/// Looks for a whole response head at the start of `text`; fills `head` when complete.
head_state parse_response_head(std::string_view text, response_head& head);

/// Formats requests; holds the headers that they share.
class request_format {
  public:
    request_format(const server_address& server, std::string_view token);

    // `block`: a locator or a hash.
    [[nodiscard]] std::string get(std::string_view block) const;
    /// First and last byte, both included.
    [[nodiscard]] std::string get_range(std::string_view block, std::uint64_t first, std::uint64_t last) const;
    [[nodiscard]] std::string put(std::string_view block, std::uint64_t content_length) const;

  private:
    [[nodiscard]] std::string target(std::string_view block) const;

    std::string folder_;
    std::string common_;
};

struct socket_options {
    std::string congestion = "cubic";  ///< empty: the system's default
    int receive_buffer_bytes = 0;      ///< 0: the system's default, growing by itself
    in_addr source{};                  ///< our address; 0: the system's choice
};

/// Starts a non-blocking connect. \returns the descriptor, or -1 with errno set.
int connect_socket(const server_address& server, const socket_options& options);

/// Sets TCP_CONGESTION if we may. \returns false with errno set if the kernel does not have it.
bool set_congestion(int fd, const std::string& name);

}  // namespace keepstore::bench
