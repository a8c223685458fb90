#include "volumes/directory/write_queue.hpp"

#include "tests/volumes/directory/directory_fixture.hpp"

#include <sys/uio.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace keepstore::test {

TEST_CASE("batches for direct writes are whole pages at aligned addresses and lose nothing", "[volumes][writer]") {
    using volumes::directory::write_queue;
    for (int round = 0; round < 200; ++round) {
        const auto content = random_bytes(1 + test_random()() % 200'000);
        auto* const memory = static_cast<std::byte*>(std::aligned_alloc(4096, 256 * KiB));
        std::ranges::copy(content, memory);
        const std::shared_ptr<std::byte> keep(memory, [](std::byte* p) { std::free(p); });
        write_queue queue;
        bytes file;
        std::size_t pushed = 0;
        bool direct = true;
        while (file.size() < content.size()) {
            if (pushed < content.size()) {
                const auto n = std::min<std::size_t>(content.size() - pushed, 1 + test_random()() % 30'000);
                // Mostly pieces of one chunk; sometimes bytes from elsewhere, at any address.
                if (test_random()() % 8 == 0) {
                    queue.push(copy_to_heap_slice(std::span(content).subspan(pushed, n)));
                } else {
                    queue.push({std::span<const std::byte>(memory + pushed, n), {}});
                }
                pushed += n;
                if (test_random()() % 2 == 0) continue;
            }
            bool irregular = false;
            auto batch = direct ? queue.next_direct(512, irregular) : queue.next_buffered();
            if (direct && batch.bytes > 0) {
                REQUIRE(batch.offset % 4096 == 0);
                for (const auto& p : batch.pieces) {
                    REQUIRE(p.iov_len % 4096 == 0);
                    REQUIRE(reinterpret_cast<std::uintptr_t>(p.iov_base) % 512 == 0);
                }
            }
            if (direct && (irregular || (batch.bytes == 0 && pushed == content.size()))) {
                direct = false;
                continue;
            }
            REQUIRE(batch.offset == file.size());
            bytes rest(content.size());
            const auto waiting = queue.copy_queued(file.size(), rest);
            REQUIRE(waiting == pushed - file.size());
            REQUIRE(std::equal(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(waiting),
                               content.begin() + static_cast<std::ptrdiff_t>(file.size())));
            for (const auto& p : batch.pieces) {
                const auto* const from = static_cast<const std::byte*>(p.iov_base);
                file.insert(file.end(), from, from + p.iov_len);
            }
            queue.finish(batch);
            REQUIRE(queue.written_bytes() == file.size());
            REQUIRE(queue.total_bytes() == pushed);
        }
        REQUIRE(file == content);
    }
}

}  // namespace keepstore::test
