#include "keepctl/commands/output.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace keepstore::keepctl {
namespace {

using nlohmann::ordered_json;

// Rows that are aligned together; a longer list goes on with the next so many.
constexpr std::size_t rows_aligned = 1000;

struct as_text {
    std::string operator()(std::monostate) const { return "-"; }
    std::string operator()(const std::string& text) const { return text.empty() ? "-" : text; }
    std::string operator()(std::int64_t n) const { return std::to_string(n); }
    std::string operator()(bool yes) const { return yes ? "yes" : "no"; }
    std::string operator()(const std::vector<std::string>& all) const {
        return all.empty() ? "-" : fmt::format("{}", fmt::join(all, ","));
    }
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
    return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + '\n';
}

// One line: what servers send may have control characters.
std::string printable(std::string_view text) {
    std::string out(text);
    std::ranges::replace_if(out, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
    return out;
}

void to_stderr(std::string_view kind, std::string_view text) {
    const std::string line = fmt::format("keepctl: {}{}\n", kind, printable(text));
    // There is nothing to be done about a closed stderr.
    static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
}

}  // namespace

void output::add(std::string_view type, record fields) {
    if (shape_ == output_shape::json) return write(to_line(type, fields));
    std::vector<std::string> row;
    for (const auto& [name, value] : fields) row.push_back(printable(std::visit(as_text{}, value)));
    if (shape_ == output_shape::plain) return write(fmt::format("{}\n", fmt::join(row, "\t")));
    if (type != type_) {
        flush();
        type_ = type;
        header_.clear();
        for (const auto& [name, value] : fields) header_.emplace_back(name);
        for (auto& title : header_)
            std::ranges::transform(title, title.begin(), [](char c) {
                return c == '_' ? ' ' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c;
            });
        rows_.push_back(header_);
    }
    rows_.push_back(std::move(row));
    if (rows_.size() >= rows_aligned) flush();
}

void output::flush() {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    }
    rows_.clear();
    if (!text.empty()) write(text);
}

void output::say(std::string_view line) {
    if (shape_ != output_shape::columns) return;
    flush();
    type_.clear();
    write(printable(line) + '\n');
}

void output::end(exit_code code, record fields) {
    flush();
    if (shape_ != output_shape::json) return;
    fields.insert(fields.begin(), {{"command", command_}, {"exit_code", std::int64_t{static_cast<int>(code)}}});
    write(to_line("summary", fields));
}

void output::note(std::string_view text) const {
    if (!quiet_) to_stderr("", text);
}

void output::warn(std::string_view text) const {
    to_stderr("warning: ", text);
}

void output::error(std::string_view text) const {
    to_stderr("", text);
}

void output::write(std::string_view bytes) {
    while (!bytes.empty() && !broken_) {
        const ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            broken_ = true;
        else
            bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

std::string time_text(std::int64_t nanoseconds) {
    const std::chrono::sys_time<std::chrono::nanoseconds> at{std::chrono::nanoseconds(nanoseconds)};
    return fmt::format("{:%FT%TZ}", std::chrono::floor<std::chrono::seconds>(at));
}

}  // namespace keepstore::keepctl
