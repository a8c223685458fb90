#include "base/log.hpp"

#include "base/limits.hpp"
#include "base/recent_lines.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <ctime>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace keepstore::log {
namespace {

// How long the writing thread gathers lines before it writes them.
constexpr std::chrono::milliseconds gather_time{1};

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

// A spdlog sink that gathers lines and writes them from a thread of its own, many at a time (log.hpp says why). It has
// a lock of its own, so the base class needs none.
class batching_sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  public:
    // Waits until all lines logged so far are written, or drops them: stderr is a pipe that is full, for example.
    void drain() {
        std::unique_lock lock(queue_mutex_);
        const auto goal = queued_lines_;
        urgent_ = true;
        work_.notify_one();
        if (written_.wait_for(lock, limits::log_flush_wait, [&] { return written_lines_ >= goal; })) return;
        dropped_.fetch_add(goal - written_lines_, std::memory_order_relaxed);
        written_lines_ = goal;
        queue_.clear();
    }

    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

  private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        bool wake = false;
        {
            const std::lock_guard lock(queue_mutex_);
            if (!have_thread()) return write_now({message.payload.data(), message.payload.size()});
            if (queue_.size() + message.payload.size() > limits::log_queue_bytes_max) {
                dropped_.fetch_add(1, std::memory_order_relaxed);
                return;
            }
            queue_.append(message.payload.data(), message.payload.size());
            queue_ += '\n';
            ++queued_lines_;
            wake = std::exchange(idle_, false);
        }
        if (wake) work_.notify_one();
    }
    void flush_() override {}

    // With queue_mutex_. \returns false if the system has no thread for this; the next line tries again.
    bool have_thread() {
        if (started_) return true;
        try {
            std::thread([this] { write_for_ever(); }).detach();
        } catch (const std::system_error&) {
            return false;
        }
        return started_ = true;
    }

    // With queue_mutex_, while there is no thread: what stderr does not take at once is dropped.
    void write_now(std::string_view line) {
        std::string text(line);
        text += '\n';
        for (std::string_view rest = text; !rest.empty();) {
            pollfd ready{STDERR_FILENO, POLLOUT, 0};
            // A pipe that is ready takes PIPE_BUF bytes without waiting.
            const auto n = ::poll(&ready, 1, 0) == 1
                               ? ::write(STDERR_FILENO, rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF))
                               : -1;
            if (n <= 0) {
                dropped_.fetch_add(1, std::memory_order_relaxed);
                return;
            }
            rest.remove_prefix(static_cast<std::size_t>(n));
        }
    }

    [[noreturn]] void write_for_ever() {
        pthread_setname_np(pthread_self(), "log");
        std::string batch;
        std::unique_lock lock(queue_mutex_);
        while (true) {
            while (queue_.empty()) {
                idle_ = true;
                work_.wait(lock);
            }
            idle_ = false;
            if (!urgent_) work_.wait_for(lock, gather_time, [this] { return urgent_; });
            urgent_ = false;
            batch.swap(queue_);
            const auto lines = queued_lines_;
            lock.unlock();
            write_all(batch);
            batch.clear();
            lock.lock();
            written_lines_ = std::max(written_lines_, lines);
            written_.notify_all();
        }
    }

    static void write_all(std::string_view text) {
        while (!text.empty()) {
            const auto n = ::write(STDERR_FILENO, text.data(), text.size());
            if (n > 0) {
                text.remove_prefix(static_cast<std::size_t>(n));
            } else if (errno == EAGAIN) {  // Stderr was made non-blocking, by a process that shares it.
                pollfd ready{STDERR_FILENO, POLLOUT, 0};
                ::poll(&ready, 1, 100);
            } else if (errno != EINTR) {
                return;  // Stderr is closed or broken, and there is no other place to log to.
            }
        }
    }

    std::mutex queue_mutex_;
    std::condition_variable work_;
    std::condition_variable written_;
    // Guarded by queue_mutex_.
    std::string queue_;
    bool started_ = false;
    bool idle_ = false;
    bool urgent_ = false;
    std::uint64_t queued_lines_ = 0;
    std::uint64_t written_lines_ = 0;

    std::atomic<std::uint64_t> dropped_{0};
};

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
    switch (l) {
        case level::trace:
            return "trace";
        case level::debug:
            return "debug";
        case level::info:
            return "info";
        case level::warning:
            return "warning";
        case level::error:
            return "error";
        case level::fatal:
            return "fatal";
        case level::panic:
            return "panic";
    }
    return "info";
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

// Length of the UTF-8 sequence at text[i], 0 if it is not one.
std::size_t utf8_length(std::string_view text, std::size_t i) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
    const unsigned first = byte(i);
    std::size_t length = 0;
    if (first >= 0xc2 && first <= 0xdf)
        length = 2;
    else if (first >= 0xe0 && first <= 0xef)
        length = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        length = 4;
    else
        return 0;
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

bool enabled(level l) noexcept {
    return l >= threshold.load(std::memory_order_relaxed);
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
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
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
        if (mark && i + mark < path.size() &&
            (path[i + mark] == 'A' || path[i + mark] == 'R' || path[i + mark] == '%')) {
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
