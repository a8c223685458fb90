#include "cloud/time.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>

namespace keepstore::cloud {
namespace {

using namespace std::chrono;

constexpr std::array<std::string_view, 12> month_names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// What nanoseconds since 1970 can express. A later time becomes the latest one: callers convert times to nanoseconds,
// and an overflow would make a block from a far future look old.
constexpr sys_seconds latest = floor<seconds>(sys_time<nanoseconds>::max());
constexpr sys_seconds earliest = ceil<seconds>(sys_time<nanoseconds>::min());

/// Reads a text from its beginning; the first mismatch fails everything after it.
class scanner {
  public:
    explicit scanner(std::string_view text) : rest_(text) {}

    void literal(std::string_view expected) {
        if (!rest_.starts_with(expected)) {
            failed_ = true;
            return;
        }
        rest_.remove_prefix(expected.size());
    }

    /// Exactly `digits` digits, and what comes after them.
    [[nodiscard]] unsigned number(std::size_t digits, std::string_view after = {}) {
        if (failed_ || rest_.size() < digits) {
            failed_ = true;
            return 0;
        }
        unsigned value = 0;
        for (const char c : rest_.substr(0, digits)) {
            if (!is_digit(c)) {
                failed_ = true;
                return 0;
            }
            value = value * 10 + static_cast<unsigned>(c - '0');
        }
        rest_.remove_prefix(digits);
        literal(after);
        return value;
    }

    [[nodiscard]] std::string_view take(std::size_t count) {
        if (rest_.size() < count) failed_ = true;
        const auto out = rest_.substr(0, failed_ ? 0 : count);
        rest_.remove_prefix(out.size());
        return out;
    }

    [[nodiscard]] bool next_is(char c) const { return !rest_.empty() && rest_.front() == c; }
    void skip_digits() {
        while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') rest_.remove_prefix(1);
    }
    [[nodiscard]] bool ended() const { return !failed_ && rest_.empty(); }

  private:
    std::string_view rest_;
    bool failed_ = false;
};

std::optional<sys_seconds> assemble(unsigned y, unsigned mon, unsigned d, unsigned h, unsigned min, unsigned s) {
    const year_month_day date{year{static_cast<int>(y)}, month{mon}, day{d}};
    // A leap second counts as the second after it.
    if (!date.ok() || h > 23 || min > 59 || s > 60) return std::nullopt;
    const sys_seconds exact = sys_days{date} + hours{h} + minutes{min} + seconds{s};
    return std::clamp(exact, earliest, latest);
}

}  // namespace

std::optional<sys_seconds> parse_http_date(std::string_view text) noexcept {
    scanner in(text);
    static_cast<void>(in.take(3));
    in.literal(", ");
    const auto d = in.number(2, " ");
    const auto name = in.take(3);
    in.literal(" ");
    const auto y = in.number(4, " ");
    const auto h = in.number(2, ":");
    const auto min = in.number(2, ":");
    const auto s = in.number(2, " ");
    const auto zone = in.take(3);
    const auto found = std::ranges::find(month_names, name);
    if (!in.ended() || found == month_names.end() || (zone != "GMT" && zone != "UTC")) return std::nullopt;
    return assemble(y, static_cast<unsigned>(found - month_names.begin()) + 1, d, h, min, s);
}

std::optional<sys_seconds> parse_iso_date(std::string_view text) noexcept {
    scanner in(text);
    const auto y = in.number(4, "-");
    const auto mon = in.number(2, "-");
    const auto d = in.number(2, "T");
    const auto h = in.number(2, ":");
    const auto min = in.number(2, ":");
    const auto s = in.number(2);
    if (in.next_is('.')) {
        in.literal(".");
        in.skip_digits();
    }
    seconds offset{0};
    if (in.next_is('+') || in.next_is('-')) {
        const bool east = in.next_is('+');
        static_cast<void>(in.take(1));
        const auto oh = in.number(2);
        if (in.next_is(':')) in.literal(":");
        const auto om = in.number(2);
        if (oh > 23 || om > 59) return std::nullopt;
        offset = (hours{oh} + minutes{om}) * (east ? 1 : -1);
    } else {
        in.literal("Z");
    }
    if (!in.ended()) return std::nullopt;
    const auto local = assemble(y, mon, d, h, min, s);
    if (!local) return std::nullopt;
    return std::clamp(*local - offset, earliest, latest);
}

}  // namespace keepstore::cloud
