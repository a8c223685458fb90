#include "net/http/chunk_decoder.hpp"

#include "base/hex.hpp"
#include "net/http/text.hpp"
#include "net/limits.hpp"

namespace keepstore::net {
namespace {

bool fit_for_line(char c) {
    return is_header_value({&c, 1});
}

bool is_token_char(char c) {
    return token_characters[static_cast<unsigned char>(c)];
}

}  // namespace

void chunk_decoder::fail(std::string_view text) noexcept {
    state_ = state::bad;
    error_ = text;
}

void chunk_decoder::expect(char c, char wanted, part next) noexcept {
    if (c != wanted) return fail("malformed chunked encoding");
    part_ = next;
}

void chunk_decoder::take(char c) noexcept {
    switch (part_) {
        case part::first_digit:
        case part::size: {
            const int digit = hex_value(c);
            if (digit >= 0) {
                if (left_ >> 60) return fail("http chunk length too large");
                left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
                part_ = part::size;
            } else if (part_ == part::first_digit) {
                return fail("invalid byte in chunk length");
            } else if (c == '\r') {
                part_ = part::size_lf;
            } else if (c == ';') {
                part_ = part::extension;
            } else {
                return fail("invalid byte in chunk length");
            }
            if (++line_bytes_ > limits::chunk_line_bytes_max) fail("http chunk length too large");
            return;
        }
        case part::extension:
            if (c == '\r') {
                part_ = part::size_lf;
            } else if (!fit_for_line(c) || ++line_bytes_ > limits::chunk_line_bytes_max) {
                fail("malformed chunked encoding");
            }
            return;
        case part::size_lf:
            expect(c, '\n', left_ ? part::data_cr : part::line);
            line_bytes_ = 0;
            if (state_ == state::framing && left_) state_ = state::data;
            return;
        case part::data_cr:
            return expect(c, '\r', part::data_lf);
        case part::data_lf:
            return expect(c, '\n', part::first_digit);
        case part::line:
            if (c == '\r') {
                part_ = part::final_lf;
                return;
            }
            part_ = part::trailer_name;
            if (!is_token_char(c)) return fail("malformed trailer");
            [[fallthrough]];
        case part::trailer_name:
            if (++trailer_bytes_ > limits::trailer_bytes_max) return fail("trailers too large");
            if (c == ':') {
                part_ = part::trailer_value;
            } else if (!is_token_char(c)) {
                fail("malformed trailer");
            }
            return;
        case part::trailer_value:
            if (++trailer_bytes_ > limits::trailer_bytes_max) return fail("trailers too large");
            if (c == '\r') {
                part_ = part::trailer_lf;
            } else if (!fit_for_line(c)) {
                fail("malformed trailer");
            }
            return;
        case part::trailer_lf:
            return expect(c, '\n', part::line);
        case part::final_lf:
            expect(c, '\n', part::line);
            if (state_ == state::framing) state_ = state::done;
            return;
    }
}

std::size_t chunk_decoder::take_framing(std::string_view text) noexcept {
    std::size_t used = 0;
    while (state_ == state::framing && used < text.size()) take(text[used++]);
    return used;
}

void chunk_decoder::took_data(std::uint64_t count) noexcept {
    left_ -= count;
    if (left_ == 0) state_ = state::framing;  // part_ is data_cr already.
}

}  // namespace keepstore::net
