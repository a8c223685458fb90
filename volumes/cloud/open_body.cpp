#include "volumes/cloud/open_body.hpp"

#include "volumes/cloud/limits.hpp"
#include "volumes/s3/s3_core.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::volumes::s3 {
namespace {

struct opened_object {
    std::string key;  ///< Where it was found.
    protocol::object_download body;
};

awaitable<result<opened_object>> get_object(s3_core& core, std::string key, protocol::get_options how, deadline until) {
    KS_CO_TRY(auto body, core.noted(co_await core.client.get(key, std::move(how), until)));
    co_return opened_object{.key = std::move(key), .body = std::move(body)};
}

// Whether a marker that was requested concurrently with the block says that there is no race to be fixed.
awaitable<bool> never_marked(shared_marker& marker, deadline until) {
    if (!marker.requested()) co_return false;
    const auto recent = co_await marker.get(until.within(limits::s3_call_timeout));
    co_return !recent && recent.error() == errc::not_found;
}

// Of `first_bytes` only, if that is given.
awaitable<result<opened_object>> open_object(const std::shared_ptr<s3_core>& core, const download_target& what,
                                             shared_marker& marker, std::optional<std::uint64_t> first_bytes) {
    const auto until = deadline::never();
    const circuit_breaker::pending_call pending(*core->breaker);
    protocol::get_options how;
    how.if_match = what.validator;
    if (first_bytes || what.offset > 0 || what.length) {
        how.range = protocol::byte_range{what.offset, first_bytes ? first_bytes : what.length};
    }
    auto body = co_await get_object(*core, core->names.block(what.name), how, until);
    if (body) co_return body;
    const auto kind = kind_of(body.error());
    if (!what.validator.empty()) {
        // Trashed meanwhile, or replaced: the object that was opened may be in the trash.
        if (kind != error_kind::not_found && kind != error_kind::precondition) co_return body;
        auto trashed = co_await get_object(*core, core->names.trash(what.name), how, until);
        if (trashed) co_return trashed;
        co_return fail(errc::io_error, "the block was replaced while it was read");
    }
    if (kind != error_kind::not_found || !what.fix_race) co_return body;
    if (co_await never_marked(marker, until)) co_return body;
    KS_CO_TRY(const bool fixed, co_await core->fix_race(what.name, until));
    if (!fixed) co_return body;
    co_return co_await get_object(*core, core->names.block(what.name), how, until);
}

}  // namespace

bool download_target::is_large() const noexcept {
    const auto expected = std::min(length.value_or(size), size - std::min(size, offset));
    return expected >= limits::s3_parallel_block_bytes_min;
}

bool range_is_at_fault(const error& why) {
    const auto kind = kind_of(why);
    return kind == error_kind::invalid_range || kind == error_kind::unsupported || kind == error_kind::invalid;
}

awaitable<result<std::unique_ptr<block_body>>> open_body(const std::shared_ptr<s3_core>& core,
                                                         const download_target& what, shared_marker& marker,
                                                         std::optional<multipart_policy::transfer>& transfer) {
    std::optional<part_buffers::share> buffers;
    if (transfer && (transfer->mode() == transfer_mode::parts || core->options.always_parts)) {
        if (auto joined = core->download_buffers.join())
            buffers.emplace(std::move(*joined));
        else
            transfer->go_whole();
    }
    if (!buffers) {
        KS_CO_TRY(auto all, co_await open_object(core, what, marker, std::nullopt));
        co_return std::make_unique<block_body>(std::move(all.body));
    }
    auto first = co_await open_object(core, what, marker, limits::s3_parallel_range_bytes);
    if (!first && range_is_at_fault(first.error())) {
        // A range beyond the end says that the expected size was wrong, and nothing about ranges.
        if (kind_of(first.error()) != error_kind::invalid_range) {
            transfer->note(first.error(), multipart_policy::clock::now());
        }
        transfer->go_whole();
        first = co_await open_object(core, what, marker, std::nullopt);
    }
    if (!first) co_return std::unexpected(std::move(first.error()));
    const auto size = first->body.info().size;
    const auto end = what.length ? std::min(size, what.offset + *what.length) : size;
    if (first->body.offset() + first->body.length() == end) {
        co_return std::make_unique<block_body>(std::move(first->body));
    }
    co_return std::make_unique<block_body>(core, std::move(first->key), core->names.trash(what.name),
                                           std::move(first->body), end, std::move(*buffers));
}

}  // namespace keepstore::volumes::s3
