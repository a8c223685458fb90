/// The part of a file that is in the page cache, to test which reads bypass it. Looking does not change it.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace keepstore::test {

inline std::size_t cached_pages(const std::filesystem::path& path) {
    const auto size = std::filesystem::file_size(path);
    if (size == 0) return 0;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    void* const mapping = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    REQUIRE(mapping != MAP_FAILED);
    std::vector<unsigned char> flags((size + 4095) / 4096);
    REQUIRE(::mincore(mapping, size, flags.data()) == 0);
    ::munmap(mapping, size);
    return static_cast<std::size_t>(std::ranges::count_if(flags, [](unsigned char c) { return (c & 1) != 0; }));
}

inline void uncache(const std::filesystem::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ::fsync(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
}

}  // namespace keepstore::test
