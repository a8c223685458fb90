#include "bench/send_files.hpp"

#include "base/units.hpp"
#include "bench/scratch_files.hpp"

#include <sys/mman.h>

#include <filesystem>
#include <stdexcept>

namespace keepstore::bench {

namespace {

send_file open_block(const std::string& path, const md5_digest& name) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct ::stat seen{};
    if (fd < 0 || ::fstat(fd, &seen) != 0) throw_errno(path);
    const auto size = static_cast<std::size_t>(seen.st_size);
    void* const mapping = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED) throw_errno("mmap " + path);

    const auto stride = digest::waypoints::stride_for(size);
    std::vector<std::byte> buffer(stride);
    std::vector<digest::md5_state> states;
    digest::md5 hash;
    for (std::size_t at = 0; at < size; at += stride) {
        const auto now = std::min(stride, size - at);
        // By pread, also where the mapping is used later: the page cache is warm then.
        if (::pread(fd, buffer.data(), now, static_cast<off_t>(at)) != static_cast<ssize_t>(now)) {
            throw_errno("read " + path);
        }
        hash.update(std::span(buffer).first(now));
        states.push_back(hash.state());
    }
    if (hash.finish() != name) throw std::runtime_error(path + " does not have the MD5 in its name");
    auto points = digest::waypoints::make(size, stride, states);
    if (!points) throw std::runtime_error(path + " has a size without waypoints");
    return {.fd = fd,
            .size = size,
            .name = name,
            .points = std::move(*points),
            .mapping = static_cast<const std::byte*>(mapping),
            .seen = seen};
}

bool same(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

bool send_file::unchanged() const {
    struct ::stat now{};
    return ::fstat(fd, &now) == 0 && now.st_size == seen.st_size && same(now.st_mtim, seen.st_mtim) &&
           same(now.st_ctim, seen.st_ctim);
}

void send_files::load(const std::string& root) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
        const auto name = md5_digest::parse(entry.path().filename().string());
        if (!name || !entry.is_regular_file()) continue;
        const auto size = entry.file_size();
        if (size == 0 || size % digest::md5_block_bytes != 0) continue;
        files_.emplace(*name, open_block(entry.path().string(), *name));
    }
}

const send_file* send_files::find(std::string_view name) const {
    const auto digest = md5_digest::parse(name);
    const auto found = digest ? files_.find(*digest) : files_.end();
    return found == files_.end() ? nullptr : &found->second;
}

}  // namespace keepstore::bench
