#include "base/log.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <mutex>

namespace keepstore::log {
namespace {

// Lines waiting for stderr. At 500 bytes a line this is about 8 MiB; a reader that is this far behind loses the oldest.
constexpr std::size_t queue_lines_max = 16384;

struct settings {
    format shape = format::json;
    std::string constant_fields_json;
    std::string constant_fields_text;
};

std::atomic<level> threshold{level::info};
std::mutex settings_mutex;
std::shared_ptr<const settings> current_settings = std::make_shared<settings>();

std::shared_ptr<const settings> get_settings() {
    const std::lock_guard lock(settings_mutex);
    return current_settings;
}

struct writer {
    std::shared_ptr<spdlog::details::thread_pool> threads;
    std::shared_ptr<spdlog::async_logger> logger;

    writer()
        : threads(std::make_shared<spdlog::details::thread_pool>(queue_lines_max, 1)),
          logger(std::make_shared<spdlog::async_logger>("keepstore", std::make_shared<spdlog::sinks::stderr_sink_mt>(),
                                                        threads, spdlog::async_overflow_policy::overrun_oldest)) {
        logger->set_pattern("%v");
        logger->set_level(spdlog::level::trace);
    }
};

writer& get_writer() {
    // Never destroyed: threads may log until the process ends, and main() flushes.
    static writer* const instance = new writer;
    return *instance;
}

std::string_view name(level l) {
    switch (l) {
        case level::trace: return "trace";
        case level::debug: return "debug";
        case level::info: return "info";
        case level::warning: return "warning";
        case level::error: return "error";
        case level::fatal: return "fatal";
        case level::panic: return "panic";
    }
    return "info";
}

// 2006-01-02T15:04:05.000000000Z (contract 2.3).
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
    if (v.empty()) return true;
    for (const char c : v) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           std::string_view("-._/@^+:").find(c) != std::string_view::npos;
        if (!plain) return true;
    }
    return false;
}

void append_value_text(std::string& out, const field& f) {
    const auto* const text = std::get_if<std::string_view>(&f.value);
    if (text && !needs_quotes(*text)) {
        out += *text;
    } else {
        append_value_json(out, f);
    }
}

void write_fields(level l, std::string_view message, std::span<const field> fields) {
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
    get_writer().logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

// Length of the UTF-8 sequence at text[i], 0 if it is not one.
std::size_t utf8_length(std::string_view text, std::size_t i) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
    const unsigned first = byte(i);
    std::size_t length = 0;
    if (first >= 0xc2 && first <= 0xdf) length = 2;
    else if (first >= 0xe0 && first <= 0xef) length = 3;
    else if (first >= 0xf0 && first <= 0xf4) length = 4;
    else return 0;
    if (i + length > text.size()) return 0;
    for (std::size_t k = 1; k < length; ++k)
        if ((byte(i + k) & 0xc0) != 0x80) return 0;
    const unsigned second = byte(i + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f))
        return 0;
    return length;
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
    current_settings = std::move(next);
    threshold = o.threshold;
}

bool enabled(level l) noexcept { return l >= threshold.load(std::memory_order_relaxed); }

void write(level l, std::string_view message, std::initializer_list<field> fields) {
    if (enabled(l)) write_fields(l, message, {fields.begin(), fields.size()});
}

void write(level l, std::string_view message, std::span<const field> fields) {
    if (enabled(l)) write_fields(l, message, fields);
}

void flush() {
    // The queue is first in, first out: when the marker's promise is kept, everything before it was written.
    auto& w = get_writer();
    w.logger->flush();
    while (w.threads->queue_size() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

std::uint64_t dropped_lines() noexcept { return get_writer().threads->overrun_counter(); }

void append_json_escaped(std::string& out, std::string_view text) {
    std::size_t plain_from = 0;
    for (std::size_t i = 0; i < text.size();) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            ++i;
            continue;
        }
        const std::size_t sequence = c >= 0x80 ? utf8_length(text, i) : 0;
        if (sequence != 0) {
            i += sequence;
            continue;
        }
        out.append(text, plain_from, i - plain_from);
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (c >= 0x80) {
                    out += "\\ufffd";
                } else {
                    fmt::format_to(std::back_inserter(out), FMT_COMPILE("\\u{:04x}"), c);
                }
        }
        ++i;
        plain_from = i;
    }
    out.append(text, plain_from);
}

std::string redact_target(std::string_view target) {
    std::string out;
    out.reserve(target.size());
    const auto query_at = target.find('?');
    const std::string_view path = target.substr(0, query_at);
    std::size_t i = 0;
    while (i < path.size()) {
        // A permission hint, "+A" + signature "@" expiry, ends at the next hint. Percent-encoded plus signs count too.
        const bool plain = path[i] == '+';
        const bool encoded = path.substr(i, 3) == "%2b" || path.substr(i, 3) == "%2B";
        const std::size_t mark = plain ? 1 : encoded ? 3 : 0;
        if (mark && i + mark < path.size() && (path[i + mark] == 'A' || path[i + mark] == 'R' || path[i + mark] == '%')) {
            out += path.substr(i, mark);
            out += path[i + mark] == '%' ? 'A' : path[i + mark];
            out += "***";
            i += mark + 1;
            while (i < path.size() && path[i] != '+' && path[i] != '/') {
                if (path.substr(i, 3) == "%2b" || path.substr(i, 3) == "%2B") break;
                ++i;
            }
            continue;
        }
        out += path[i++];
    }
    if (query_at == std::string_view::npos) return out;
    out += '?';
    std::string_view query = target.substr(query_at + 1);
    bool first = true;
    while (!query.empty() || first) {
        const auto end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        if (!first) out += '&';
        first = false;
        const auto equals = pair.find('=');
        const std::string_view key = pair.substr(0, equals);
        // Any name that could be api_token, percent-encoded letters included, loses its value.
        const bool secret = key.find("token") != std::string_view::npos || key.find('%') != std::string_view::npos;
        if (equals != std::string_view::npos && secret) {
            out += key;
            out += "=***";
        } else {
            out += pair;
        }
        if (end == std::string_view::npos) break;
        query.remove_prefix(end + 1);
    }
    return out;
}

}  // namespace keepstore::log
