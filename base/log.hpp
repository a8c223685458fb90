/// Structured logging: one line per event with a message and typed fields, as JSON (one object per line) or text.
/// Field names and time formats follow docs/interface.md 2.3. Lines go to stderr through a bounded queue and one writer
/// thread, so that a slow terminal or journal never blocks an event loop; when the queue is full new lines are dropped
/// and counted.
///
/// Lines are handed to spdlog, with a sink of our own (log_sink.hpp) and without spdlog's asynchronous logger. That one
/// wakes its thread for each line, which costs more than to serve a small block; its queue is bounded in lines, not
/// bytes; when it is full it blocks the caller or drops the oldest line, which explains those that follow; and its
/// stderr sink loses what a non-blocking stderr does not take. Our sink gathers lines for a millisecond, writes them
/// with one call, drops new lines when 8 MiB are queued, and is never destroyed, so that threads may log until the
/// process has ended.
///
/// No token and no signature may be passed to a log call; `redact_target` cleans request targets.
/// Safe to call from any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace keepstore::log {

/// In logrus' order (docs/interface.md 1.6, SystemLogs.LogLevel); fatal and panic are accepted as thresholds.
enum class level { trace, debug, info, warning, error, fatal, panic };
enum class format { json, text };

/// A duration that is printed as a number of seconds with six decimals.
struct seconds_value {
    double value;
};

struct field {
    std::string_view name;
    std::variant<std::string_view, std::int64_t, std::uint64_t, bool, seconds_value> value;

    field(std::string_view n, std::string_view v) : name(n), value(v) {}
    field(std::string_view n, const std::string& v) : name(n), value(std::string_view(v)) {}
    field(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
    field(std::string_view n, bool v) : name(n), value(v) {}
    field(std::string_view n, int v) : name(n), value(std::int64_t{v}) {}
    field(std::string_view n, unsigned v) : name(n), value(std::uint64_t{v}) {}
    field(std::string_view n, std::int64_t v) : name(n), value(v) {}
    field(std::string_view n, std::uint64_t v) : name(n), value(v) {}
    field(std::string_view n, seconds_value v) : name(n), value(v) {}
};

struct options {
    level threshold = level::info;
    format shape = format::json;
    std::string cluster_id;  ///< Field ClusterID, absent when empty.
    bool pid = false;        ///< Field PID.
};

/// Sets level, shape and constant fields. Before the first call: JSON, info, no PID (docs/interface.md 2.3).
void configure(const options&);
[[nodiscard]] bool enabled(level) noexcept;
/// Shows more severe lines at this level. For a program whose exit code must agree with the errors that it prints: the
/// layers that log do not know whether a failure of theirs is one of the program. Safe to call from any thread.
void set_ceiling(level most_severe) noexcept;

void write(level, std::string_view message, std::initializer_list<field> fields = {});
void write(level, std::string_view message, std::span<const field> fields);

inline void debug(std::string_view m, std::initializer_list<field> f = {}) {
    write(level::debug, m, f);
}
inline void info(std::string_view m, std::initializer_list<field> f = {}) {
    write(level::info, m, f);
}
inline void warning(std::string_view m, std::initializer_list<field> f = {}) {
    write(level::warning, m, f);
}
inline void error(std::string_view m, std::initializer_list<field> f = {}) {
    write(level::error, m, f);
}

/// Waits until everything logged so far has been written, at most limits::log_flush_wait: what stderr has not taken by
/// then counts as dropped. Call before the process exits.
void flush();

/// Lines dropped because the reader of stderr was too slow.
[[nodiscard]] std::uint64_t dropped_lines() noexcept;

/// Appends `text` as the inside of a JSON string: quotes, backslashes, control characters escaped; bytes that are not
/// UTF-8 become U+FFFD.
void append_json_escaped(std::string& out, std::string_view text);

/// A request target or path without its secrets: `+Asig@time` hints become `+A***`, api_token values `***`.
[[nodiscard]] std::string redact_target(std::string_view target);

}  // namespace keepstore::log
