/// Errors as values. `errc` says what the CALLER can do about it; where an error came from and its wide detail are
/// logged where they are known, and only the code (and a short text for the client) travels upwards.
/// Exactly one place maps `errc` to an HTTP status: router/status.cpp.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace keepstore {

enum class errc {
    not_found = 1,          ///< There is no such block, mount or trash copy: not a failure.
    bad_request,            ///< The request itself is wrong (syntax, digest of the body, malformed signature).
    unauthorized,           ///< No token, or an expired signature: come back with another credential.
    forbidden,              ///< A token was given and does not suffice.
    method_not_allowed,     ///< The call can never work for this block or configuration (GET without a size).
    too_large,              ///< Over the block size limit.
    range_not_satisfiable,  ///< The requested range begins past the end of the block.
    checksum_mismatch,      ///< Stored bytes do not have the MD5 in their name, and no good copy was found.
    collision,              ///< A different block with the same MD5 is stored already.
    no_space,               ///< Every volume that may take the block is full, or none may take it.
    unavailable,            ///< A volume or service is down, hung, or overloaded; the same call may work later.
    timeout,                ///< A deadline passed.
    cancelled,              ///< The caller went away.
    unsupported,            ///< This build or file system cannot do it.
    io_error,               ///< A driver failed in a way that it cannot classify further.
};

[[nodiscard]] std::string_view to_string(errc code) noexcept;

/// Its members are not inline: every return of a `result` may move and destroy an error, and hardly ever does.
struct [[nodiscard]] error {
    errc code;
    std::string text;       ///< One line for the client and the log; never a path, a token or a signature.
    std::error_code cause;  ///< The system's error where there was one.

    error(errc c);  // NOLINT: implicit by intent, `return std::unexpected(errc::x)`
    error(errc c, std::string t, std::error_code e = {});
    error(errc c, const char* t, std::error_code e = {});
    error(const error&);
    error(error&&) noexcept;
    error& operator=(const error&);
    error& operator=(error&&) noexcept;
    ~error();
    [[nodiscard]] bool operator==(errc c) const noexcept { return code == c; }
};

template <class T>
using result = std::expected<T, error>;

[[nodiscard]] std::unexpected<error> fail(errc code);
[[nodiscard]] std::unexpected<error> fail(errc code, std::string text, std::error_code cause = {});
[[nodiscard]] std::unexpected<error> fail(errc code, const char* text, std::error_code cause = {});

/// The value of a `result<void>`: `co_return success();`
[[nodiscard]] inline result<void> success() {
    return {};
}

/// errno as an error: ENOENT and ENOTDIR are not_found; ENOSPC, EDQUOT and EFBIG no_space; ETIMEDOUT timeout; EMFILE
/// and ENFILE (other requests will give descriptors back) unavailable; everything else io_error. `what` names the call
/// ("open"), never a path.
[[nodiscard]] error error_from_errno(int number, std::string_view what);

}  // namespace keepstore

/// Steps of a function that returns a `result`. Each evaluates `expression`, which gives a result, and returns its
/// error if it is one; KS_CO_TRY and KS_CO_CHECK do so in a coroutine. The expression may contain co_await. They are
/// statements: in braces under an `if`, one per line.
///
///     KS_CO_TRY(const auto head, co_await read_head(until));   // declares `head` with the value
///     KS_CO_CHECK(co_await write(bytes, until));               // a result<void>, or a value that is not needed
#define KS_TRY(declaration, ...) KS_TRY_STEP_(return, KS_TRY_NAME_(ks_tried_, __LINE__), declaration, __VA_ARGS__)
#define KS_CO_TRY(declaration, ...) KS_TRY_STEP_(co_return, KS_TRY_NAME_(ks_tried_, __LINE__), declaration, __VA_ARGS__)
#define KS_CHECK(...) KS_CHECK_STEP_(return, KS_TRY_NAME_(ks_tried_, __LINE__), __VA_ARGS__)
#define KS_CO_CHECK(...) KS_CHECK_STEP_(co_return, KS_TRY_NAME_(ks_tried_, __LINE__), __VA_ARGS__)

#define KS_TRY_STEP_(leave, outcome, declaration, ...)               \
    auto outcome = (__VA_ARGS__);                                    \
    if (!outcome) leave std::unexpected(std::move(outcome).error()); \
    declaration = *std::move(outcome)
#define KS_CHECK_STEP_(leave, outcome, ...) \
    if (auto outcome = (__VA_ARGS__); !outcome) leave std::unexpected(std::move(outcome).error())
#define KS_TRY_NAME_(prefix, line) KS_TRY_PASTE_(prefix, line)
#define KS_TRY_PASTE_(prefix, line) prefix##line
