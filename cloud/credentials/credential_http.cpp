#include "cloud/credentials/credential_http.hpp"

#include "base/unique_fd.hpp"
#include "cloud/error.hpp"
#include "cloud/limits.hpp"
#include "cloud/retry.hpp"
#include "cloud/transport_error.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <system_error>

namespace keepstore::cloud {
namespace {

std::unexpected<error> unreadable(const std::string& path, int number) {
    return std::unexpected(credential_error(
        error_kind::bad_credentials,
        fmt::format("cannot read {}: {}", path, std::error_code(number, std::generic_category()).message())));
}

result<std::string> read_file(const std::string& path) {
    const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        if (errno == ENOENT || errno == ENOTDIR) return fail(errc::not_found, fmt::format("no file {}", path));
        return unreadable(path, errno);
    }
    std::string out;
    while (out.size() <= limits::credentials_bytes_max) {
        char buffer[4096];
        const auto n = ::read(file.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return unreadable(path, errno);
        if (n == 0) return out;
        out.append(buffer, static_cast<std::size_t>(n));
    }
    return std::unexpected(credential_error(error_kind::bad_credentials, fmt::format("{} is too large", path)));
}

awaitable<result<small_response>> fetch_once(const net::client& http, const wall_clock& now, net::request request,
                                             deadline until) {
    auto response = co_await http.send(std::move(request), until);
    if (!response) co_return std::unexpected(from_transport(std::move(response.error())));
    small_response out{.status = response->status()};
    // A cached response (Age) has an old date.
    if (const auto date = parse_http_date(response->get("date")); date && !response->has("age")) {
        out.clock_offset = *date - now();
    }
    auto body = co_await response->read_all(limits::credentials_bytes_max);
    if (!body) co_return std::unexpected(from_transport(std::move(body.error())));
    out.body = std::move(*body);
    co_return out;
}

}  // namespace

awaitable<result<small_response>> fetch_small(const net::client& http, wall_clock now, net::request request,
                                              deadline until) {
    retry_policy policy(retry_options{.attempts_max = 3});
    retry_session session(policy, until);
    while (true) {
        auto response = co_await fetch_once(http, now, request, until);
        auto kind = error_kind::server;
        if (response) {
            if (response->status != 429 && response->status < 500) co_return response;
            kind = classify_status(response->status);
        } else {
            kind = kind_of(response.error());
        }
        const auto wait = session.next_wait(kind, deadline::clock::now());
        if (!wait) co_return response;
        request.fresh_connection = true;
        KS_CO_CHECK(co_await pause_for(*wait));
    }
}

awaitable<result<std::string>> read_small_file(blocking_pool& threads, std::string path, deadline until) {
    co_return co_await threads.run([path = std::move(path)] { return read_file(path); }, until);
}

result<std::string> clean_token(std::string token, std::string_view what) {
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
    for (const char c : token) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            return std::unexpected(
                credential_error(error_kind::bad_credentials, fmt::format("{} has control characters", what)));
        }
    }
    if (token.empty())
        return std::unexpected(credential_error(error_kind::bad_credentials, fmt::format("{} is empty", what)));
    return token;
}

}  // namespace keepstore::cloud
