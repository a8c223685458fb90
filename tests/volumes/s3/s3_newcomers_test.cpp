// Readers that come to a block which is being downloaded: what is kept for them, and when nothing is.
#include "base/limits.hpp"
#include "tests/volumes/s3/paced_service.hpp"

#include <catch2/catch.hpp>

namespace keepstore::test {
namespace {

constexpr std::size_t piece_bytes = limits::chunk_size_bytes;
constexpr std::size_t piece_count = 4;

/// One block of four pieces, which come when they are read.
class newcomers {
  public:
    [[nodiscard]] std::unique_ptr<volumes::block_reader> open() {
        auto reader = core.open(name_);
        REQUIRE(reader);
        return std::move(*reader);
    }
    void read(volumes::block_reader& reader, std::size_t number) {
        service.send_upto((number + 1) * piece_bytes);
        const auto into = make_heap_slice(piece_bytes);
        REQUIRE(run(reader.read_at(number * piece_bytes, into, soon())).value() == piece_bytes);
        CHECK(std::ranges::equal(into.bytes, std::span(content_).subspan(number * piece_bytes, piece_bytes)));
    }
    /// What all readers have had is dropped, as when another download needs memory.
    void release_buffers() { core.find(name_)->release_buffers(false); }
    [[nodiscard]] bool hold(std::size_t pieces) {
        return until([&] { return core.held_bytes() == pieces * piece_bytes; });
    }

  private:
    const md5_digest name_ = random_name();
    const bytes content_ = random_bytes(piece_count * piece_bytes);

  public:
    paced_service service{content_};
    const bare_core core{service, 4 * piece_count* piece_bytes};
};

}  // namespace

TEST_CASE("a reader that comes later shares the download of a block, while there is memory",
          "[volumes][s3][sharing][memory][stub]") {
    newcomers n;
    const auto first = n.open();
    for (std::size_t i = 0; i < piece_count; ++i) n.read(*first, i);
    CHECK(n.hold(piece_count));
    const auto second = n.open();
    for (std::size_t i = 0; i < piece_count; ++i) n.read(*second, i);
    CHECK(n.service.requests() == 1);
}

TEST_CASE("a download whose place another one takes, or whose reader passes the caches by, keeps nothing",
          "[volumes][s3][sharing][memory][stub]") {
    newcomers n;
    const auto first = n.open();
    n.read(*first, 0);
    std::unique_ptr<volumes::block_reader> second;
    // Of the first download only the last piece, after which nothing came.
    std::size_t held = 1;
    SECTION("another download begins") {
        n.release_buffers();
        second = n.open();
        CHECK(n.service.requests() == 2);
        held += piece_count;
    }
    SECTION("the caches are passed by") {
        first->bypass_caches();
    }
    for (std::size_t i = 1; i < piece_count; ++i) n.read(*first, i);
    CHECK(n.hold(held));
}

}  // namespace keepstore::test
