/// Results on stdout, in one of three shapes: aligned columns for people, tabs for scripts, or one JSON object a line.
/// Messages on stderr. Used from one thread.
#pragma once

#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/commands/arguments.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace keepstore::keepctl {

/// Nothing is "-" in text, null in JSON.
using cell = std::variant<std::monostate, std::string, std::int64_t, bool, std::vector<std::string>>;
using record = std::vector<std::pair<std::string_view, cell>>;

class output {
  public:
    output(std::string command, output_shape shape, bool quiet)
        : command_(std::move(command)), shape_(shape), quiet_(quiet) {}

    /// Adds a record; those of one type have the same fields. Columns appear when there are some, or at flush().
    void add(std::string_view type, record fields);
    void flush();

    /// A line of free text, for people only.
    void say(std::string_view line);

    /// The last line of --json: {"type":"summary",...}. Nothing in other shapes.
    void end(exit_code code, record fields = {});

    /// stderr. A note is left out if quiet.
    void note(std::string_view text) const;
    void warn(std::string_view text) const;
    void error(std::string_view text) const;

    /// Writes text or data as it is.
    void write(std::string_view bytes);
    /// Whether stdout was closed, or is on a full disk.
    [[nodiscard]] bool broken() const noexcept { return broken_; }
    [[nodiscard]] output_shape shape() const noexcept { return shape_; }
    [[nodiscard]] bool quiet() const noexcept { return quiet_; }

  private:
    const std::string command_;
    const output_shape shape_;
    const bool quiet_;
    std::string type_;  // Of the rows.
    std::vector<std::string> header_;
    std::vector<std::vector<std::string>> rows_;  // Waiting to be aligned.
    bool broken_ = false;
};

/// "2026-01-31T00:00:00Z"
[[nodiscard]] std::string time_text(std::int64_t nanoseconds);

}  // namespace keepstore::keepctl
