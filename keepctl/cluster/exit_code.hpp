/// The exit codes of the tool (docs/keepctl.md), and errors of commands, which have one.
#pragma once

#include "base/error.hpp"

#include <algorithm>
#include <array>
#include <expected>
#include <string>
#include <utility>

namespace keepstore::keepctl {

enum class exit_code : int {
    done = 0,          ///< All done, or nothing to do.
    some_failed = 1,   ///< Finished; some blocks failed, are missing or differ.
    usage = 2,         ///< Command line, configuration or an input file is wrong; nothing was done.
    unreachable = 3,   ///< Nothing could be reached or authenticated; nothing was done.
    refused = 4,       ///< Withheld for safety.
    conflict = 5,      ///< Another run is active.
    not_finished = 6,  ///< A part could not be looked at.
    no_change = 9,     ///< With --error-on-no-change: success, and nothing had to be changed.
    interrupted = 130,
    terminated = 143,
};

/// Which counts when several hold: the first of 2, 3, 4, 5, 6, 1.
[[nodiscard]] constexpr exit_code worse(exit_code a, exit_code b) noexcept {
    constexpr std::array order{exit_code::interrupted,  exit_code::terminated,  exit_code::usage,
                               exit_code::unreachable,  exit_code::refused,     exit_code::conflict,
                               exit_code::not_finished, exit_code::some_failed, exit_code::no_change};
    for (const auto code : order) {
        if (a == code || b == code) return code;
    }
    return exit_code::done;
}

/// Why a command cannot begin, or cannot go on: its exit code, and the line for the operator.
struct [[nodiscard]] refusal {
    exit_code code;
    std::string text;
};
template <class T>
using outcome = std::expected<T, refusal>;

[[nodiscard]] inline std::unexpected<refusal> refuse(exit_code code, std::string text) {
    return std::unexpected(refusal{code, std::move(text)});
}
/// Of a command for which a call has failed. One that was cancelled says nothing.
[[nodiscard]] inline std::unexpected<refusal> refuse(exit_code code, const error& why) {
    return why == errc::cancelled ? refuse(exit_code::interrupted, std::string()) : refuse(code, why.text);
}

}  // namespace keepstore::keepctl
