#include "volumes/cloud/compare_body.hpp"

#include "base/units.hpp"
#include "digest/md5.hpp"
#include "volumes/cloud/volume_core.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace keepstore::volumes::cloud {
namespace {

constexpr std::size_t compare_bytes = 16 * KiB;

/// \param equal  whether the body may have the bytes of `with`.
awaitable<result<stored_copy>> judge_body(volume_core& core, protocol::object_download body, md5_digest name,
                                          std::span<const const_slice> with, bool equal) {
    digest::md5 digest;
    std::array<std::byte, compare_bytes> buffer;
    std::size_t in_slice = 0;
    while (true) {
        KS_CO_TRY(const auto count, core.noted(co_await body.read_some(buffer)));
        if (count == 0) break;
        core.breaker->note_progress();
        auto got = std::span<const std::byte>(buffer).first(count);
        digest.update(got);
        while (equal && !got.empty()) {
            const auto mine = with.front().bytes.subspan(in_slice);
            const auto both = std::min(mine.size(), got.size());
            equal = std::memcmp(mine.data(), got.data(), both) == 0;
            got = got.subspan(both);
            in_slice += both;
            if (in_slice == with.front().size()) {
                with = with.subspan(1);
                in_slice = 0;
            }
        }
    }
    if (equal) co_return stored_copy::equal;
    co_return digest.finish() == name ? stored_copy::other : stored_copy::corrupt;
}

}  // namespace

awaitable<result<stored_copy>> compare_body(volume_core& core, protocol::object_download body, md5_digest name,
                                            std::span<const const_slice> with) {
    std::size_t size = 0;
    for (const auto& slice : with) size += slice.size();
    const bool may_be_equal = body.length() == size;
    return judge_body(core, std::move(body), name, with, may_be_equal);
}

awaitable<result<bool>> check_body(volume_core& core, protocol::object_download body, md5_digest name) {
    KS_CO_TRY(const auto found, co_await judge_body(core, std::move(body), name, {}, false));
    co_return found != stored_copy::corrupt;
}

}  // namespace keepstore::volumes::cloud
