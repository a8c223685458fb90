#include "base/log.hpp"

#include "base/log_sink.hpp"
#include "base/recent_lines.hpp"
#include "base/text.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <mutex>

namespace keepstore::log {
namespace {

struct settings {
    format shape = format::json;
    std::string constant_fields_json;
    std::string constant_fields_text;
};

std::atomic<level> threshold{level::info};
std::atomic<level> ceiling{level::panic};
std::mutex settings_mutex;
// With settings_mutex. Never destroyed: threads may log until the process ends.
std::shared_ptr<const settings>& current_settings() {
    static auto* const instance = new std::shared_ptr<const settings>(std::make_shared<settings>());
    return *instance;
}

std::shared_ptr<const settings> get_settings() {
    const std::lock_guard lock(settings_mutex);
    return current_settings();
}

struct writer {
    std::shared_ptr<batching_sink> sink = std::make_shared<batching_sink>();
    spdlog::logger logger{"keepstore", sink};

    writer() { logger.set_level(spdlog::level::trace); }
};

writer& get_writer() {
    // Never destroyed: threads may log until the process ends, and main() flushes.
    static writer* const instance = new writer;
    return *instance;
}

std::string_view name(level l) {
    constexpr std::array<std::string_view, 7> names{"trace", "debug", "info", "warning", "error", "fatal", "panic"};
    return names[static_cast<std::size_t>(l)];
}

// 2006-01-02T15:04:05.000000000Z (docs/interface.md 2.3).
void append_time(std::string& out) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto whole = std::chrono::floor<std::chrono::seconds>(now);
    const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(now - whole).count();
    thread_local std::time_t cached = -1;
    thread_local char text[32];
    const std::time_t t = whole.count();
    if (t != cached) {
        std::tm parts{};
        gmtime_r(&t, &parts);
        std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
        cached = t;
    }
    out += text;
    fmt::format_to(std::back_inserter(out), FMT_COMPILE(".{:09}Z"), nanos);
}

void append_value_json(std::string& out, const field& f) {
    const auto to = std::back_inserter(out);
    std::visit(
        [&](const auto& v) {
            using T = std::decay_t<decltype(v)>;
            if constexpr (std::is_same_v<T, std::string_view>) {
                out += '"';
                append_json_escaped(out, v);
                out += '"';
            } else if constexpr (std::is_same_v<T, bool>) {
                out += v ? "true" : "false";
            } else if constexpr (std::is_same_v<T, seconds_value>) {
                fmt::format_to(to, FMT_COMPILE("{:.6f}"), v.value);
            } else {
                fmt::format_to(to, FMT_COMPILE("{}"), v);
            }
        },
        f.value);
}

bool needs_quotes(std::string_view v) {
    const auto plain = [](char c) { return is_alphanumeric(c) || std::string_view("-._/@^+:").contains(c); };
    return v.empty() || !std::ranges::all_of(v, plain);
}

void append_value_text(std::string& out, const field& f) {
    const auto* const text = std::get_if<std::string_view>(&f.value);
    if (text && !needs_quotes(*text)) {
        out += *text;
    } else {
        append_value_json(out, f);
    }
}

// Keeps a line for the status page.
void keep_recent(level l, std::string_view message, std::span<const field> fields) {
    recent_lines::line kept{.at = std::chrono::system_clock::now(), .level = name(l), .message = std::string(message)};
    for (const field& f : fields) {
        const auto* const text = std::get_if<std::string_view>(&f.value);
        if (text && f.name == "RequestID") {
            kept.request_id = *text;
            continue;
        }
        if (!kept.details.empty()) kept.details += ' ';
        kept.details += f.name;
        kept.details += '=';
        append_value_text(kept.details, f);
    }
    recent().add(std::move(kept));
}

void write_fields(level l, std::string_view message, std::span<const field> fields) {
    l = std::min(l, ceiling.load(std::memory_order_relaxed));
    if (l >= level::warning) keep_recent(l, message, fields);
    const auto conf = get_settings();
    std::string line;
    line.reserve(512);
    if (conf->shape == format::json) {
        line += '{';
        line += conf->constant_fields_json;
        for (const field& f : fields) {
            line += '"';
            line += f.name;
            line += "\":";
            append_value_json(line, f);
            line += ',';
        }
        line += "\"level\":\"";
        line += name(l);
        line += "\",\"msg\":\"";
        append_json_escaped(line, message);
        line += "\",\"time\":\"";
        append_time(line);
        line += "\"}";
    } else {
        line += "time=\"";
        append_time(line);
        line += "\" level=";
        line += name(l);
        line += " msg=";
        append_value_text(line, field("msg", message));
        line += conf->constant_fields_text;
        for (const field& f : fields) {
            line += ' ';
            line += f.name;
            line += '=';
            append_value_text(line, f);
        }
    }
    get_writer().logger.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void configure(const options& o) {
    auto next = std::make_shared<settings>();
    next->shape = o.shape;
    std::vector<field> constant;
    if (!o.cluster_id.empty()) constant.emplace_back("ClusterID", o.cluster_id);
    if (o.pid) constant.emplace_back("PID", static_cast<std::int64_t>(getpid()));
    for (const field& f : constant) {
        next->constant_fields_json += fmt::format("\"{}\":", f.name);
        append_value_json(next->constant_fields_json, f);
        next->constant_fields_json += ',';
        next->constant_fields_text += fmt::format(" {}=", f.name);
        append_value_text(next->constant_fields_text, f);
    }
    const std::lock_guard lock(settings_mutex);
    current_settings() = std::move(next);
    threshold = o.threshold;
}

bool enabled(level l) noexcept {
    return l >= threshold.load(std::memory_order_relaxed);
}

void set_ceiling(level most_severe) noexcept {
    ceiling = most_severe;
}

void write(level l, std::string_view message, std::initializer_list<field> fields) {
    if (enabled(l)) write_fields(l, message, {fields.begin(), fields.size()});
}

void write(level l, std::string_view message, std::span<const field> fields) {
    if (enabled(l)) write_fields(l, message, fields);
}

void flush() {
    get_writer().sink->drain();
}

std::uint64_t dropped_lines() noexcept {
    return get_writer().sink->dropped();
}

}  // namespace keepstore::log
