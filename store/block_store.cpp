#include "store/block_store.hpp"

#include "protocol/index_lines.hpp"
#include "store/read/read_operation.hpp"
#include "store/write/write_operation.hpp"

namespace keepstore::store {

block_store::block_store(options o, mount_table mounts, pool::buffer_pool& pool, digest::engine& digest)
    : context_(std::move(o), std::move(mounts), pool, digest) {
    // When the pool runs dry, deferred pieces are hashed at once so that their chunks are freed.
    pool.on_exhausted([&digest] { digest.flush(); });
}

// Order of the checks: docs/interface.md 2.11 (locator syntax was the caller's, then 405, token, signature, lookup).
awaitable<result<std::uint64_t>> block_store::block_read(const block_read_request& request, byte_sink& sink) {
    const protocol::locator& block = request.block;
    const bool empty_block = block.hash == md5_of_nothing;
    if (!request.head && !empty_block && block.size.value_or(0) == 0) co_return fail(errc::method_not_allowed);
    if (context_.options.blob_signing) {
        if (!request.has_token || request.token.empty())
            co_return fail(errc::unauthorized, "no token provided in Authorization header");
        const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        KS_CO_CHECK(context_.signer.verify(block.text, request.token, now));
    }
    read_operation operation(context_, request, sink);
    co_return co_await operation.run();
}

awaitable<result<block_write_response>> block_store::block_write(const block_write_request& request,
                                                                 byte_source& source) {
    write_operation operation(context_, request, source);
    co_return co_await operation.run();
}

awaitable<result<void>> block_store::block_touch(const md5_digest& block, deadline until) {
    error failure(errc::not_found);
    auto mounts = context_.mounts.in_write_order(block);
    // A stalled volume is waited for if the block is on no other one.
    std::vector<const mount*> given_up;
    for (const bool waits : {false, true}) {
        for (const mount* const m : waits ? given_up : mounts) {
            const bool alternative = !waits && m != mounts.back();
            auto touched = co_await m->volume->touch(block, until.ending_at_stall(alternative));
            if (touched) co_return success();
            if (touched.error() == errc::cancelled) co_return std::move(touched);
            if (alternative && touched.error() == errc::unavailable) given_up.push_back(m);
            if (touched.error() != errc::not_found) failure = std::move(touched.error());
        }
    }
    co_return std::unexpected(std::move(failure));
}

awaitable<result<void>> block_store::block_trash(const md5_digest& block, deadline until) {
    if (!context_.options.blob_trash) co_return fail(errc::method_not_allowed);
    bool found = false;
    std::optional<error> failure;
    for (const mount& m : context_.mounts.all()) {
        if (!m.allow_trash) continue;
        auto outcome = co_await m.volume->trash(
            block, {.protect_for = context_.options.protect_for, .lifetime = context_.options.trash_lifetime}, until);
        if (outcome) {
            found = true;
            continue;
        }
        if (outcome.error() == errc::cancelled) co_return std::unexpected(std::move(outcome.error()));
        if (outcome.error() != errc::not_found && !failure) failure = std::move(outcome.error());
    }
    if (failure) co_return std::unexpected(std::move(*failure));
    if (!found) co_return fail(errc::not_found);
    co_return success();
}

awaitable<result<void>> block_store::block_untrash(const md5_digest& block, deadline until) {
    bool found = false;
    std::optional<error> failure;
    for (const mount* const m : context_.mounts.in_write_order(block)) {
        auto outcome = co_await m->volume->untrash(block, until);
        if (outcome) {
            found = true;
            continue;
        }
        if (outcome.error() == errc::cancelled) co_return std::move(outcome);
        if (outcome.error() != errc::not_found && !failure) failure = std::move(outcome.error());
    }
    if (failure && !found) co_return std::unexpected(std::move(*failure));
    if (!found) co_return fail(errc::not_found);
    co_return success();
}

namespace {

// Formats batches of copies as index lines, one write for each batch.
class line_sink final : public volumes::index_sink {
  public:
    explicit line_sink(block_store::index_writer& out) : out_(out) {}

    awaitable<result<void>> put(std::span<const volumes::block_info> batch) override {
        text_.clear();
        for (const auto& b : batch)
            protocol::append_index_line(text_,
                                        {.block = b.name, .size = b.size, .mtime = b.mtime.time_since_epoch().count()});
        co_return co_await out_.write(text_);
    }

  private:
    block_store::index_writer& out_;
    std::string text_;
};

}  // namespace

awaitable<result<void>> block_store::index(std::string mount_uuid, std::string prefix, index_writer& out,
                                           deadline until) {
    line_sink sink(out);
    if (!mount_uuid.empty()) {
        const mount* const m = context_.mounts.find(mount_uuid);
        if (!m) co_return fail(errc::not_found);
        co_return co_await m->volume->index(std::move(prefix), sink, until);
    }
    for (const mount& m : context_.mounts.all()) {
        KS_CO_CHECK(co_await m.volume->index(prefix, sink, until));
    }
    co_return success();
}

}  // namespace keepstore::store
