#include "base/error.hpp"

#include <cerrno>

namespace keepstore {

std::string_view to_string(errc code) noexcept {
    switch (code) {
        case errc::not_found:
            return "file does not exist";
        case errc::bad_request:
            return "bad request";
        case errc::unauthorized:
            return "unauthorized";
        case errc::forbidden:
            return "forbidden";
        case errc::method_not_allowed:
            return "method not allowed";
        case errc::too_large:
            return "request entity too large";
        case errc::range_not_satisfiable:
            return "requested range not satisfiable";
        case errc::checksum_mismatch:
            return "checksum mismatch in stored data";
        case errc::collision:
            return "hash collision";
        case errc::no_space:
            return "insufficient storage";
        case errc::unavailable:
            return "volume unavailable";
        case errc::timeout:
            return "deadline exceeded";
        case errc::cancelled:
            return "request cancelled";
        case errc::unsupported:
            return "not supported";
        case errc::io_error:
            return "input/output error";
    }
    return "unknown error";
}

error::error(errc c) : code(c), text(to_string(c)) {}
error::error(errc c, std::string t, std::error_code e) : code(c), text(std::move(t)), cause(e) {}
error::error(errc c, const char* t, std::error_code e) : code(c), text(t), cause(e) {}
error::error(const error&) = default;
error::error(error&&) noexcept = default;
error& error::operator=(const error&) = default;
error& error::operator=(error&&) noexcept = default;
error::~error() = default;

std::unexpected<error> fail(errc code) {
    return std::unexpected(error(code));
}

std::unexpected<error> fail(errc code, std::string text, std::error_code cause) {
    return std::unexpected(error(code, std::move(text), cause));
}

std::unexpected<error> fail(errc code, const char* text, std::error_code cause) {
    return std::unexpected(error(code, text, cause));
}

error error_from_errno(int number, std::string_view what) {
    const std::error_code cause(number, std::generic_category());
    errc code = errc::io_error;
    switch (number) {
        case ENOENT:
        case ENOTDIR:
            return error(errc::not_found, std::string(to_string(errc::not_found)), cause);
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
            code = errc::no_space;
            break;
        case ETIMEDOUT:
            code = errc::timeout;
            break;
        case EMFILE:
        case ENFILE:
            return error(errc::unavailable, "too many open files", cause);
        default:
            break;
    }
    return error(code, std::string(what) + ": " + cause.message(), cause);
}

}  // namespace keepstore
