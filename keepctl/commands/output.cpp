#include "keepctl/commands/output.hpp"

#include "base/error.hpp"
#include "base/join.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "base/units.hpp"
#include "base/utc_text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace keepstore::keepctl {
namespace {

using nlohmann::ordered_json;

// Rows that are aligned together; a longer list goes on with the next group.
constexpr std::size_t rows_aligned = 1000;
// A write of so much costs no more per byte than a larger one; it is also what a pipe holds.
constexpr std::size_t write_bytes = 64 * KiB;

struct as_text {
    std::string operator()(std::monostate) const { return "-"; }
    std::string operator()(const std::string& text) const { return text.empty() ? "-" : text; }
    std::string operator()(std::int64_t n) const { return std::to_string(n); }
    std::string operator()(bool yes) const { return yes ? "yes" : "no"; }
    std::string operator()(const std::vector<std::string>& all) const { return all.empty() ? "-" : join(all, ","); }
};

struct as_json {
    ordered_json operator()(std::monostate) const { return nullptr; }
    ordered_json operator()(const auto& value) const { return value; }
};

std::string to_line(std::string_view type, const record& fields) {
    ordered_json out;
    out["v"] = 1;
    out["type"] = type;
    for (const auto& [name, value] : fields) out[std::string(name)] = std::visit(as_json{}, value);
    return json_to_text(out) + '\n';
}

void to_stderr(std::string_view kind, std::string_view text, bool ascii) {
    const std::string line = fmt::format("keepctl: {}{}\n", kind, printable(text, ascii));
    // There is nothing to be done about a closed stderr.
    static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
}

}  // namespace

void output::add(std::string_view type, record fields) {
    if (shape_ == output_shape::json) return write(to_line(type, fields));
    // Tabs are read by programs, whatever the locale.
    const bool ascii = results_.ascii && shape_ == output_shape::columns;
    std::vector<std::string> row;
    for (const auto& [name, value] : fields) row.push_back(printable(std::visit(as_text{}, value), ascii));
    if (shape_ == output_shape::plain) return write(join(row, "\t") + '\n');
    if (type != type_) {
        flush();
        after_table_ = !type_.empty();
        type_ = type;
        has_header_ = true;
        auto& header = rows_.emplace_back();
        for (const auto& [name, value] : fields) {
            header.emplace_back(name);
            std::ranges::transform(header.back(), header.back().begin(), [](char c) {
                return c == '_' ? ' ' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c;
            });
        }
    }
    rows_.push_back(std::move(row));
    if (rows_.size() >= rows_aligned) flush();
}

void output::flush() {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
    }
    std::string text;
    if (std::exchange(after_table_, false)) text = "\n";
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            line.append(widths[i] - columns_of(row[i]) + 2, ' ');
        }
        line.erase(line.find_last_not_of(' ') + 1);
        const bool bold = std::exchange(has_header_, false) && results_.bold;
        text += bold ? fmt::format("\x1b[1m{}\x1b[0m\n", line) : line + '\n';
    }
    rows_.clear();
    write(text);
    drain();
}

void output::say(std::string_view line) {
    if (shape_ != output_shape::columns) return;
    flush();
    type_.clear();
    write(printable(line, results_.ascii) + '\n');
}

exit_code output::end(exit_code code, record fields) {
    flush();
    worst_ = worse(worst_, code);
    summary_ = std::move(fields);
    return code;
}

exit_code output::finish(exit_code code) {
    flush();
    const auto now = [&] {
        const auto reached = stopped_.value_or(worse(code, worst_));
        return broken_ ? worse(reached, exit_code::not_finished) : reached;
    };
    if (shape_ == output_shape::json) {
        record fields{{"command", command_}, {"exit_code", std::int64_t{static_cast<int>(now())}}};
        fields.insert(fields.end(), summary_.begin(), summary_.end());
        write(to_line("summary", fields));
        drain();
    }
    return now();
}

void output::message(std::string_view kind, std::string_view text) {
    drain();
    to_stderr(kind, text, messages_.ascii);
}

void output::note(std::string_view text) {
    if (!quiet_ && !broken_) message("", text);
}

void output::warn(std::string_view text) {
    message("warning: ", text);
}

void output::ask(std::string_view text) {
    message("", text);
}

void output::error(std::string_view text, exit_code code) {
    message("", text);
    worst_ = worse(worst_, code);
}

void output::usage(std::string_view text) {
    std::string shown;
    while (!text.empty()) shown += printable(take_part(text, '\n'), messages_.ascii) + '\n';
    static_cast<void>(!::write(STDERR_FILENO, shown.data(), shown.size()));
    worst_ = worse(worst_, exit_code::usage);
}

void output::write(std::string_view bytes) {
    if (bytes.size() >= write_bytes) {
        drain();
        return write_now(bytes);
    }
    undrained_ += bytes;
    if (undrained_.size() >= write_bytes) drain();
}

void output::drain() {
    write_now(std::exchange(undrained_, {}));
}

void output::write_now(std::string_view bytes) {
    while (!bytes.empty() && !broken_) {
        const ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            broken_ = true;
            // A reader that has left, as `head`, knows it.
            if (errno != EPIPE) warn(error_from_errno(errno, "standard output").text);
            if (on_broken_) on_broken_();
        } else {
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
    }
}

std::string time_text(std::int64_t nanoseconds) {
    const std::chrono::sys_time<std::chrono::nanoseconds> at{std::chrono::nanoseconds(nanoseconds)};
    return utc_text(std::chrono::floor<std::chrono::seconds>(at));
}

}  // namespace keepstore::keepctl
