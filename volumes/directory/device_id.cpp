#include "volumes/directory/device_id.hpp"

#include "base/log.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <sstream>
#include <vector>

namespace keepstore::volumes::directory {
namespace {

constexpr const char* uuid_links = "/dev/disk/by-uuid";

// mountinfo writes space, tab, newline and backslash as three octal digits: "\040".
std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto octal = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
        if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
            out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

bool is_below(std::string_view path, std::string_view mount_point) {
    if (mount_point == "/") return true;
    return path.starts_with(mount_point) && (path.size() == mount_point.size() || path[mount_point.size()] == '/');
}

std::optional<mount_entry> current_mount_of(const std::string& real) {
    std::ifstream file("/proc/self/mountinfo");
    if (!file) {
        static std::once_flag warned;
        std::call_once(warned, [] {
            log::warning(
                "there is no /proc: volumes have no device ids but host name and path, so that a balance tool cannot "
                "notice that two servers share one; scrubs read through the page cache");
        });
    }
    std::stringstream text;
    text << file.rdbuf();
    return mount_of(text.view(), real);
}

std::optional<std::string> identify(const std::string& root, std::string& why) {
    std::error_code ec;
    const auto real = std::filesystem::canonical(root, ec).string();
    if (ec) {
        why = "resolving symbolic links: " + ec.message();
        return std::nullopt;
    }
    const auto mount = current_mount_of(real);
    if (!mount) {
        why = "no mount found in /proc/self/mountinfo";
        return std::nullopt;
    }
    // findmnt shows a part of a file system (bind mount, subvolume) as "/dev/x[/part]", which names no device.
    if (!mount->source.starts_with('/') || mount->fs_root != "/") {
        why = "mount device \"" + mount->source + "\" is not a path, or only a part of it is mounted";
        return std::nullopt;
    }
    struct stat device{};
    if (::stat(mount->source.c_str(), &device) != 0) {
        why = "cannot stat mount device \"" + mount->source + "\"";
        return std::nullopt;
    }
    const std::string below = mount->mount_point == "/" ? real : real.substr(mount->mount_point.size());
    for (std::filesystem::directory_iterator i(uuid_links, ec), end; !ec && i != end; i.increment(ec)) {
        struct stat linked{};
        // By inode, not by device number, as the Go daemon does.
        if (::stat(i->path().c_str(), &linked) == 0 && linked.st_ino == device.st_ino) {
            return i->path().filename().string() + below;
        }
    }
    why = std::string("no entry in ") + uuid_links + " matches \"" + mount->source + "\"";
    return std::nullopt;
}

}  // namespace

std::optional<mount_entry> mount_of(std::string_view mountinfo, std::string_view path) {
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    //            root  point          optional   ^ type source
    std::optional<mount_entry> best;
    std::istringstream lines{std::string(mountinfo)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        const std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
        std::size_t dash = 6;
        while (dash < fields.size() && fields[dash] != "-") ++dash;
        if (dash + 2 >= fields.size()) continue;
        mount_entry entry{unescape(fields[dash + 2]), unescape(fields[4]), unescape(fields[3]), fields[dash + 1]};
        if (!is_below(path, entry.mount_point)) continue;
        // The deepest one; of several mounts on one directory the last, which hides the others.
        if (!best || entry.mount_point.size() >= best->mount_point.size()) best = std::move(entry);
    }
    return best;
}

std::string filesystem_uuid(const std::string& root) {
    std::string why;
    return identify(root, why).value_or(std::string());
}

std::string mount_source(const std::string& root) {
    std::error_code ec;
    const auto real = std::filesystem::canonical(root, ec).string();
    if (ec) return {};
    const auto mount = current_mount_of(real);
    return mount ? mount->type + ' ' + mount->source + ' ' + mount->fs_root : std::string();
}

std::string find_device_id(const std::string& root) {
    std::string why;
    if (auto id = identify(root, why)) return *id;
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    log::info("using hostname:path as the volume's device id", {{"reason", why}, {"DeviceRoot", root}});
    return std::string(host.data()) + ":" + root;
}

}  // namespace keepstore::volumes::directory
