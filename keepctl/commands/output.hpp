/// Results on stdout, in one of three shapes: aligned columns for people, tabs for scripts, or one JSON object a line.
/// Messages on stderr. Results are written in large pieces; they come before a later message, and do not stay here
/// while the command waits (session::run). Used from one thread.
#pragma once

#include "keepctl/cluster/count_text.hpp"
#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/commands/arguments.hpp"
#include "keepctl/commands/terminal.hpp"

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace keepstore::keepctl {

/// Nothing is "-" in text, null in JSON.
struct cell : std::variant<std::monostate, std::string, std::int64_t, bool, std::vector<std::string>> {
    cell() = default;
    cell(std::same_as<bool> auto yes) : variant(yes) {}
    cell(std::string text) : variant(std::move(text)) {}
    cell(std::string_view text) : variant(std::string(text)) {}
    cell(const char* text) : variant(std::string(text)) {}
    cell(std::vector<std::string> texts) : variant(std::move(texts)) {}
    template <std::integral Number>
        requires(!std::same_as<Number, bool>)
    cell(Number number) : variant(static_cast<std::int64_t>(number)) {}
    template <class T>
    cell(const std::optional<T>& value) : cell(value ? cell(*value) : cell()) {}
};
using record = std::vector<std::pair<std::string_view, cell>>;

class output {
  public:
    output(std::string command, output_shape shape, bool quiet, text_style results = {}, text_style messages = {})
        : command_(std::move(command)), shape_(shape), quiet_(quiet), results_(results), messages_(messages) {}

    /// Adds a record; those of one type have the same fields. Columns appear when there are some, or at flush().
    void add(std::string_view type, record fields);
    /// Writes all that there is.
    void flush();
    /// Writes what needs no further rows in order to be aligned.
    void drain();
    [[nodiscard]] bool has_undrained() const noexcept { return !undrained_.empty(); }

    /// A line of free text, for people only.
    void say(std::string_view line);

    /// Ends the command's own work, with the fields of its summary. finish() prints it. \returns the code.
    exit_code end(exit_code code, record fields = {});

    /// stderr. A note is left out if quiet, and once stdout is broken: whatever it counts, not all of it was printed.
    void note(std::string_view text);
    void warn(std::string_view text);
    void ask(std::string_view text);
    /// The only place that prints errors, so that each of them makes the exit code at least `code`.
    void error(std::string_view text, exit_code code = exit_code::some_failed);

    /// Prints a text of several lines, such as an overview of commands: the command line was wrong.
    void usage(std::string_view text);

    /// A signal or --timeout ends the command: its code counts, since what fails from then on fails because of it.
    void stopped(exit_code code) { stopped_ = code; }

    /// Prints what is left: with --json the last line, {"type":"summary",...}. The last call.
    /// \returns the exit code of the process: the worst of `code`, those of end() and error(), and not_finished for
    /// results that stdout did not take.
    [[nodiscard]] exit_code finish(exit_code code);

    /// Writes text or data as it is.
    void write(std::string_view bytes);
    /// Whether stdout was closed, or is on a full disk.
    [[nodiscard]] bool broken() const noexcept { return broken_; }
    /// Called once when that happens: nothing further needs to be done.
    void on_broken(std::function<void()> call) { on_broken_ = std::move(call); }
    [[nodiscard]] output_shape shape() const noexcept { return shape_; }
    [[nodiscard]] bool quiet() const noexcept { return quiet_; }
    /// Whether a screen may be cleared before it is written again.
    [[nodiscard]] bool on_screen() const noexcept { return shape_ == output_shape::columns && results_.bold; }

  private:
    void write_now(std::string_view bytes);
    void message(std::string_view kind, std::string_view text);

    const std::string command_;
    const output_shape shape_;
    const bool quiet_;
    const text_style results_;
    const text_style messages_;
    std::string type_;                            // Of the rows.
    std::vector<std::vector<std::string>> rows_;  // Waiting to be aligned.
    bool has_header_ = false;                     // The first of the rows is one.
    bool after_table_ = false;  // The rows begin a table below another one: an empty line comes first.
    exit_code worst_ = exit_code::done;
    std::optional<exit_code> stopped_;
    record summary_;
    std::string undrained_;  // Of results: not written yet.
    bool broken_ = false;
    std::function<void()> on_broken_;
};

/// "2026-01-31T00:00:00Z"
[[nodiscard]] std::string time_text(std::int64_t nanoseconds);

}  // namespace keepstore::keepctl
