#include "volumes/directory/probe.hpp"

#include "volumes/directory/list_dir.hpp"
#include "volumes/directory/uncached_file.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <string>

namespace keepstore::volumes::directory {
namespace {

// The same for all daemons on the volume, so that at most one is left over.
constexpr std::size_t probe_bytes = 4096;

// The name of the first entry that suits; empty if there is none.
template <class Suits>
result<std::string> first_entry(directory_core& core, int dir, Suits suits) {
    std::string found;
    const auto entry = [&](std::string_view name, entry_type type) {
        if (found.empty() && suits(name, type)) found = name;
    };
    KS_CHECK(list_dir(core.stats, dir, entry, [&] { found.clear(); }));
    return found;
}

std::unexpected<error> probe_failed(std::string_view call) {
    return std::unexpected(error_from_errno(errno, call));
}

result<void> run_probe(directory_core& core, const blocking_pool& pool, traffic t) {
    if (t == traffic::reads) {
        KS_CHECK(core.root.check());
        static_cast<void>(core.full.measure());
        return core.health.probe_due(t, activity(pool, t)) ? probe_reads(core) : success();
    }
    return core.root.gone() ? success() : probe_writes(core);
}

}  // namespace

health_tracker::activity activity(const blocking_pool& pool, traffic t) noexcept {
    using work = blocking_pool::work;
    const auto now = pool.activity_of(t == traffic::reads ? work::read : work::write);
    return {.silence = now.silence, .slow = now.slow, .stalled = now.stalled()};
}

std::function<void()> probe_of(std::shared_ptr<directory_core> core, const std::shared_ptr<blocking_pool>& pool,
                               traffic t) {
    return [core = std::move(core), weak = std::weak_ptr(pool), t] {
        using work = blocking_pool::work;
        auto threads = weak.lock();
        if (!threads || (t == traffic::writes && !core->health.probe_due(t, activity(*threads, t)))) return;
        core->health.probe_began(t);
        const auto outcome = run_probe(*core, *threads, t);
        const bool stalled = activity(*threads, t).stalled;
        core->health.probe_ended(t, outcome);
        if (!outcome || !stalled) return;
        threads->excuse(t == traffic::reads ? work::read : work::write);
        if (t == traffic::writes) threads->excuse(work::commit);
    };
}

result<void> probe_reads(directory_core& core) {
    const unique_fd root(::openat(core.root.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root) return probe_failed("open");
    const auto is_folder = [](std::string_view name, entry_type) { return parse_block_dir(name).has_value(); };
    KS_TRY(const auto folder, first_entry(core, root.get(), is_folder));
    if (folder.empty()) return success();
    const unique_fd dir(open_beneath(root.get(), folder.c_str(), O_RDONLY | O_DIRECTORY));
    if (!dir) return errno == ENOENT ? success() : probe_failed("open");
    const auto is_block = [](std::string_view name, entry_type type) {
        return type == DT_REG && md5_digest::parse(name).has_value();
    };
    KS_TRY(const auto block, first_entry(core, dir.get(), is_block));
    if (block.empty()) return success();
    unique_fd file(::openat(dir.get(), block.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_DIRECT));
    if (!file) file = unique_fd(::openat(dir.get(), block.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) return errno == ENOENT || errno == ELOOP ? success() : probe_failed("open");
    alignas(direct_read_unit) std::array<std::byte, direct_read_unit> page;
    const auto n = ::pread(file.get(), page.data(), page.size(), 0);
    if (n < 0 && errno != EINVAL) return probe_failed("read");
    return success();
}

result<void> probe_writes(directory_core& core) {
    const unique_fd file(::openat(core.root.fd(), probe_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) {
        if (errno == ENOSPC || errno == EDQUOT) return success();
        return probe_failed("create");
    }
    static constexpr std::array<std::byte, probe_bytes> content{};
    const auto n = ::pwrite(file.get(), content.data(), content.size(), 0);
    const bool full = n < 0 && (errno == ENOSPC || errno == EDQUOT);
    result<void> out = success();
    if (n < 0 && !full) out = probe_failed("write");
    if (out && core.options.sync && ::fsync(file.get()) != 0) out = probe_failed("fsync");
    if (::unlinkat(core.root.fd(), probe_name, 0) != 0 && errno != ENOENT && out) out = probe_failed("unlink");
    return out;
}

}  // namespace keepstore::volumes::directory
