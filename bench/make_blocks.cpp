/// keepstore_make_blocks ROOT COUNT: fills a Directory volume with COUNT tiny blocks, as fast as
/// the file system allows. Block i is the decimal number i, so every file is a valid block under
/// its true name (ROOT/abc/abc...).
#include "bench/content.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace keepstore::bench {

namespace {

constexpr std::size_t folder_digits = 3;
constexpr unsigned writers = 2;

struct small_block {
    std::string name;
    std::uint64_t number = 0;
};

std::vector<small_block> name_blocks(std::uint64_t count) {
    std::vector<small_block> blocks;
    blocks.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto text = std::to_string(i);
        std::array<unsigned char, 16> digest{};
        EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_md5(), nullptr);
        blocks.push_back({to_hex(digest), i});
    }
    return blocks;
}

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

void write_block(int folder, const small_block& block) {
    const int fd = ::openat(folder, block.name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) fail(block.name);
    const auto text = std::to_string(block.number);
    const auto written = ::write(fd, text.data(), text.size());
    ::close(fd);
    if (written != static_cast<ssize_t>(text.size())) fail(block.name);
}

/// `blocks` sorted by name: a folder is opened once.
void write_blocks(const std::string& root, const small_block* first, const small_block* last) {
    std::string current;
    int folder = -1;
    for (; first != last; ++first) {
        const auto wanted = std::string_view(first->name).substr(0, folder_digits);
        if (wanted != current) {
            if (folder >= 0) ::close(folder);
            current = wanted;
            const auto path = root + '/' + current;
            if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) fail(path);
            folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (folder < 0) fail(path);
        }
        write_block(folder, *first);
    }
    if (folder >= 0) ::close(folder);
}

void run(const std::string& root, std::uint64_t count) {
    auto blocks = name_blocks(count);
    std::ranges::sort(blocks, {}, &small_block::name);
    std::array<std::exception_ptr, writers> errors;
    {
        std::vector<std::jthread> threads;
        for (unsigned i = 0; i < writers; ++i) {
            threads.emplace_back([&, i] {
                const auto* const all = blocks.data();
                try {
                    write_blocks(root, all + blocks.size() * i / writers, all + blocks.size() * (i + 1) / writers);
                } catch (...) {
                    errors[i] = std::current_exception();
                }
            });
        }
    }
    for (const auto& error : errors) {
        if (error) std::rethrow_exception(error);
    }
}

}  // namespace

}  // namespace keepstore::bench

int main(int argc, char** argv) {
    std::uint64_t count = 0;
    const std::string_view text = argc == 3 ? argv[2] : "";
    const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (argc != 3 || ec != std::errc{} || rest != text.data() + text.size()) {
        std::fputs("usage: keepstore_make_blocks ROOT COUNT\n", stderr);
        return 2;
    }
    try {
        keepstore::bench::run(argv[1], count);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "keepstore_make_blocks: %s\n", e.what());
        return 1;
    }
    return 0;
}
