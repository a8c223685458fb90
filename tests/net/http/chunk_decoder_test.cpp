#include "net/http/chunk_decoder.hpp"
#include "net/limits.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <string>

using namespace keepstore;
using net::chunk_decoder;

namespace {

struct decoded {
    std::string data;
    std::size_t used = 0;
    chunk_decoder::state end = chunk_decoder::state::framing;
};

/// Decodes text that arrives in pieces of `step` bytes.
decoded decode(std::string_view text, std::size_t step) {
    chunk_decoder d;
    decoded out;
    while (out.used < text.size() &&
           (d.now() == chunk_decoder::state::framing || d.now() == chunk_decoder::state::data)) {
        const auto piece = text.substr(out.used, step);
        if (d.now() == chunk_decoder::state::framing) {
            out.used += d.take_framing(piece);
            continue;
        }
        const auto n = std::min<std::size_t>(piece.size(), d.data_left());
        out.data += piece.substr(0, n);
        out.used += n;
        d.took_data(n);
    }
    out.end = d.now();
    return out;
}

}  // namespace

TEST_CASE("chunked bodies are decoded in pieces of any size", "[net][chunks]") {
    const std::string body = "5\r\nhello\r\n00a;ext=\"v\"\r\n0123456789\r\nfF\r\n" + std::string(255, 'z') +
                             "\r\n000;x\r\nTrailer: v\r\nOther: w\r\n\r\n";
    for (std::size_t step = 1; step <= body.size(); ++step) {
        const auto d = decode(body + "GET / HTTP/1.1", step);
        REQUIRE(d.end == chunk_decoder::state::done);
        CHECK(d.data == "hello0123456789" + std::string(255, 'z'));
        CHECK(d.used == body.size());
    }
}

TEST_CASE("an incomplete chunked body is never complete", "[net][chunks]") {
    const std::string body = "5\r\nhello\r\n0\r\nT: v\r\n\r\n";
    for (std::size_t n = 0; n < body.size(); ++n) {
        const auto d = decode(body.substr(0, n), body.size());
        CHECK(d.end != chunk_decoder::state::done);
        CHECK(d.end != chunk_decoder::state::bad);
    }
}

TEST_CASE("malformed chunks are refused", "[net][chunks]") {
    const std::string long_extension(limits::chunk_line_bytes_max + 1, 'e');
    const std::string long_trailer(limits::trailer_bytes_max + 1, 't');
    for (const std::string& bad : std::vector<std::string>{"g\r\n",
                                                           "\r\n",
                                                           "\n",
                                                           ";\r\n",
                                                           "-1\r\n",
                                                           "+1\r\n",
                                                           " 1\r\n",
                                                           "1 \r\n",
                                                           "0x1\r\n",
                                                           "1\n",
                                                           "1\rx",
                                                           "1\r\r",
                                                           "1\r\nab",
                                                           "1\r\na\n",
                                                           "1\r\na\rb",
                                                           "1\r\na\r\n\r\n",
                                                           "10000000000000000\r\n",
                                                           "fffffffffffffffff\r\n",
                                                           "1;\n",
                                                           "1;a\x01\r\n",
                                                           "1;" + long_extension,
                                                           std::string(limits::chunk_line_bytes_max + 1, '0'),
                                                           "0\r\n\n",
                                                           "0\r\nT\n",
                                                           "0\r\nT\r\r",
                                                           "0\r\n\rx",
                                                           "0\r\nT: \x7f\r\n",
                                                           "0\r\n" + long_trailer}) {
        INFO(bad);
        CHECK(decode(bad, 1).end == chunk_decoder::state::bad);
        CHECK(decode(bad, bad.size()).end == chunk_decoder::state::bad);
    }
}
