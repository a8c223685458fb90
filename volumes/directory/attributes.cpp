#include "volumes/directory/attributes.hpp"

#include "base/units.hpp"

#include <sys/xattr.h>

#include <cerrno>

namespace keepstore::volumes::directory {
namespace {

constexpr std::size_t attribute_bytes_usual = 1 * KiB;  // Of a block of 64 MiB.
constexpr std::size_t attribute_bytes_max = 64 * KiB;   // The kernel's limit, XATTR_SIZE_MAX.

// A missing or impossible attribute is no failure of the volume, so it is not counted as one.
error attribute_error(directory_core& core, int number) {
    switch (number) {
        case ENODATA:
            return errc::not_found;
        case ENOTSUP:
        case ENOSPC:
        case EDQUOT:
        case E2BIG:
        case ERANGE:
            return errc::unsupported;
        default:
            return core.stats.failed(number, "xattr");
    }
}

}  // namespace

result<std::vector<std::byte>> load_attribute(directory_core& core, int fd, const std::string& name) {
    const std::string key = "user." + name;
    std::vector<std::byte> value(attribute_bytes_usual);
    auto n = ::fgetxattr(fd, key.c_str(), value.data(), value.size());
    if (n < 0 && errno == ERANGE) {
        value.resize(attribute_bytes_max);
        n = ::fgetxattr(fd, key.c_str(), value.data(), value.size());
    }
    if (n < 0) return std::unexpected(attribute_error(core, errno));
    value.resize(static_cast<std::size_t>(n));
    value.shrink_to_fit();
    return value;
}

result<void> save_attribute(directory_core& core, int fd, const std::string& name,
                            const std::vector<std::byte>& value) {
    if (::fsetxattr(fd, ("user." + name).c_str(), value.data(), value.size(), 0) != 0) {
        return std::unexpected(attribute_error(core, errno));
    }
    return success();
}

}  // namespace keepstore::volumes::directory
