#include "bench/content.hpp"
#include "bench/scratch_files.hpp"
#include "bench/unit_steps.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

namespace keepstore::bench {

namespace {

constexpr std::size_t file_bytes = 64 * 1024 * 1024;
constexpr std::size_t buffered_step_bytes = 256 * 1024;
constexpr std::size_t direct_step_bytes = 4 * 1024 * 1024;
constexpr std::size_t small_file_bytes = 64 * 1024;
constexpr unsigned small_files_per_large = 64;  // to read: a sixteenth of the bytes
// Small files are spread over as many folders as a Directory volume has (three hex digits).
constexpr unsigned folder_count = 4096;

/// Page-aligned, touched before anything is measured: first touches are dear on virtual machines.
class page_buffer {
  public:
    explicit page_buffer(std::size_t size) : size_(size) {
        void* const memory =
            ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED) throw_errno("mmap");
        data_ = static_cast<char*>(memory);
        for (std::size_t i = 0; i < size; i += 64) data_[i] = static_cast<char>(mix64(i));
    }
    ~page_buffer() { ::munmap(data_, size_); }
    page_buffer(const page_buffer&) = delete;
    page_buffer& operator=(const page_buffer&) = delete;

    [[nodiscard]] const char* data() const { return data_; }
    [[nodiscard]] char* data() { return data_; }
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    char* data_ = nullptr;
    std::size_t size_;
};

void write_file(const std::string& path, int flags, const page_buffer& buffer, std::size_t size, bool sync) {
    const auto file = open_file(path, O_WRONLY | O_CREAT | O_EXCL | flags);
    if (size >= file_bytes && ::posix_fallocate(file.get(), 0, static_cast<off_t>(size)) != 0) {
        throw_errno("fallocate " + path);
    }
    for (std::size_t at = 0; at < size; at += buffer.size()) {
        const auto now = std::min(buffer.size(), size - at);
        if (::pwrite(file.get(), buffer.data(), now, static_cast<off_t>(at)) != static_cast<ssize_t>(now)) {
            throw_errno("write " + path);
        }
    }
    if (sync && ::fsync(file.get()) != 0) throw_errno("fsync " + path);
}

/// Runs `work(thread index)` on threads and rethrows the first failure.
template <class Work>
void on_threads(unsigned count, Work work) {
    std::exception_ptr failure;
    std::mutex mutex;
    {
        std::vector<std::jthread> threads;
        for (unsigned i = 0; i < count; ++i) {
            threads.emplace_back([&, i] {
                try {
                    work(i);
                } catch (...) {
                    const std::lock_guard lock(mutex);
                    failure = std::current_exception();
                }
            });
        }
    }
    if (failure) std::rethrow_exception(failure);
}

bool has_direct_io(const scratch_folder& folder) {
    const int fd = ::open((folder / "probe").c_str(), O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    const owned_fd owner(fd);
    return fd >= 0;
}

std::optional<cost> measure_direct(const step_settings& settings, unsigned threads) {
    const scratch_folder folder(settings.folder);
    if (!has_direct_io(folder)) return std::nullopt;
    const page_buffer buffer(direct_step_bytes);
    const cost_meter meter(CLOCK_PROCESS_CPUTIME_ID);
    on_threads(threads, [&](unsigned index) {
        for (unsigned i = index; i < settings.files; i += threads) {
            write_file(folder / std::to_string(i), O_DIRECT, buffer, file_bytes, true);
        }
    });
    return meter.finish(static_cast<double>(settings.files) * file_bytes);
}

void read_file(const std::string& path, char* buffer, std::size_t step, std::size_t size) {
    const auto file = open_file(path, O_RDONLY | O_DIRECT);
    for (std::size_t at = 0; at < size; at += step) {
        const auto now = std::min(step, size - at);
        if (::pread(file.get(), buffer, now, static_cast<off_t>(at)) != static_cast<ssize_t>(now)) {
            throw_errno("read " + path);
        }
    }
}

/// Files written past the page cache, then read past it: what the disk gives. (A virtual disk's
/// host may have them in its own memory; we cannot tell.)
std::optional<cost> measure_read(const step_settings& settings, unsigned threads, unsigned files, std::size_t size) {
    const scratch_folder folder(settings.folder);
    if (!has_direct_io(folder)) return std::nullopt;
    const auto step = std::min(size, direct_step_bytes);
    {
        const page_buffer content(step);
        for (unsigned i = 0; i < files; ++i) {
            write_file(folder / std::to_string(i), O_DIRECT, content, size, false);
        }
        ::syncfs(open_file(folder / ".", O_RDONLY | O_DIRECTORY).get());
    }
    std::vector<std::unique_ptr<page_buffer>> buffers;
    for (unsigned i = 0; i < threads; ++i) buffers.push_back(std::make_unique<page_buffer>(step));
    const cost_meter meter(CLOCK_PROCESS_CPUTIME_ID);
    on_threads(threads, [&](unsigned index) {
        for (unsigned i = index; i < files; i += threads) {
            read_file(folder / std::to_string(i), buffers[index]->data(), step, size);
        }
    });
    return meter.finish(static_cast<double>(files) * static_cast<double>(size));
}

std::string folder_name(std::uint64_t number) {
    constexpr char digits[] = "0123456789abcdef";
    return {digits[number >> 8 & 15], digits[number >> 4 & 15], digits[number & 15]};
}

std::optional<cost> measure_create(const step_settings& settings, bool sync_folder) {
    const scratch_folder root(settings.folder);
    for (unsigned i = 0; i < folder_count; ++i) {
        if (::mkdir((root / folder_name(i)).c_str(), 0755) != 0) throw_errno("mkdir");
    }
    // The folders' own creation must not be paid for by the first files.
    ::syncfs(open_file(root / ".", O_RDONLY | O_DIRECTORY).get());
    const page_buffer buffer(small_file_bytes);
    std::atomic<std::uint64_t> created{0};
    // Slow disks make few files in half a second.
    const double seconds = std::max(settings.seconds, 1.0);
    const cost_meter meter(CLOCK_PROCESS_CPUTIME_ID);
    on_threads(settings.threads, [&](unsigned) {
        while (meter.wall_seconds() < seconds) {
            const auto number = created.fetch_add(1);
            const auto folder = root / folder_name(mix64(number) % folder_count);
            const auto name = folder + '/' + std::to_string(number);
            write_file(name + ".tmp", 0, buffer, small_file_bytes, true);
            if (::rename((name + ".tmp").c_str(), name.c_str()) != 0) throw_errno("rename");
            if (sync_folder && ::fsync(open_file(folder, O_RDONLY | O_DIRECTORY).get()) != 0) throw_errno("fsync");
        }
    });
    return meter.finish(0, static_cast<double>(created.load()));
}

}  // namespace

std::optional<cost> measure_write_buffered(const step_settings& settings) {
    const scratch_folder folder(settings.folder);
    const page_buffer buffer(buffered_step_bytes);
    const cost_meter meter(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < settings.files; ++i) {
        write_file(folder / std::to_string(i), 0, buffer, file_bytes, false);
    }
    return meter.finish(static_cast<double>(settings.files) * file_bytes);
}

std::optional<cost> measure_write_direct(const step_settings& settings) {
    return measure_direct(settings, 1);
}

std::optional<cost> measure_write_direct_parallel(const step_settings& settings) {
    return measure_direct(settings, settings.files);
}

std::optional<cost> measure_read_direct(const step_settings& settings) {
    return measure_read(settings, 1, settings.files, file_bytes);
}

std::optional<cost> measure_read_direct_parallel(const step_settings& settings) {
    return measure_read(settings, settings.files, settings.files, file_bytes);
}

std::optional<cost> measure_read_small(const step_settings& settings) {
    return measure_read(settings, 1, settings.files * small_files_per_large, small_file_bytes);
}

std::optional<cost> measure_create_durable(const step_settings& settings) {
    return measure_create(settings, true);
}

std::optional<cost> measure_create_synced(const step_settings& settings) {
    return measure_create(settings, false);
}

}  // namespace keepstore::bench
