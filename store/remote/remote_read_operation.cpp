#include "store/remote/remote_read_operation.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "protocol/remote_token.hpp"

#include <algorithm>

namespace keepstore::store {
namespace {

// Presents the body of a remote response as that of a PUT.
class response_source final : public byte_source {
  public:
    explicit response_source(protocol::incoming_block& block) : block_(block), left_(block.size) {}

    std::optional<std::uint64_t> size() const noexcept override { return block_.size; }
    // Only a read shows whether bytes are there: a silent server holds up one chunk.
    awaitable<result<void>> wait_ready() override { co_return success(); }
    awaitable<result<std::size_t>> read_some(std::span<std::byte> into) override {
        if (left_ == 0) co_return std::size_t{0};
        auto count = co_await block_.response.read_some(into.first(std::min<std::uint64_t>(into.size(), left_)));
        if (!count) {
            failed_ = protocol::reading_error(std::move(count.error()));
            co_return std::unexpected(*failed_);
        }
        if (*count == 0) {
            failed_ =
                error(errc::unavailable, net::to_string(block_.response.from()) + ": the block ends before its size");
            co_return std::unexpected(*failed_);
        }
        left_ -= *count;
        // A chunked body announces no length: one that goes on past the block's size is wrong.
        if (left_ == 0) {
            if (auto end = co_await protocol::expect_end(block_); !end) {
                failed_ = std::move(end.error());
                co_return std::unexpected(*failed_);
            }
        }
        co_return count;
    }

    [[nodiscard]] const std::optional<error>& failure() const noexcept { return failed_; }

  private:
    protocol::incoming_block& block_;
    std::uint64_t left_;
    std::optional<error> failed_;  // The server's, not the volumes'.
};

std::string_view text_for_clients(errc code) {
    switch (code) {
        case errc::not_found:
            return "the remote cluster has no such block, or refuses to give it";
        case errc::checksum_mismatch:
            return "the remote cluster's copies of the block are bad";
        case errc::timeout:
            return "the remote cluster's keep services do not answer in time";
        default:
            return "the remote cluster's keep services cannot be reached, or fail";
    }
}

}  // namespace

// Order of the checks: docs/interface.md 3.8. No request is sent before the token is known to be usable.
awaitable<result<void>> remote_read_operation::prepare() {
    if (request_.token.empty()) co_return fail(errc::unauthorized, "no token provided in Authorization header");
    KS_CO_TRY(auto remote, protocol::parse_remote_locator(request_.block));
    const auto at = home_.clusters_.find(remote.cluster_id);
    if (at == home_.clusters_.end()) co_return fail(errc::bad_request, "remote cluster not configured");
    cluster_ = at->second.get();
    KS_CO_TRY(auto token, protocol::salt_token(request_.token, remote.cluster_id));
    fetch_ = {.locator = std::move(remote.text),
              .token = std::move(token),
              .request_id = request_.request_id,
              .size = request_.block.size,
              .timing = {}};
    // "+0" on a HEAD means no size (docs/interface.md 2.11), except for the empty block.
    if (fetch_.size == 0 && request_.head && request_.block.hash != md5_of_nothing) fetch_.size.reset();
    co_return success();
}

template <class Take>
awaitable<result<void>> remote_read_operation::from_any_server(Take take) {
    auto list = co_await cluster_->get(request_.until);
    if (!list) co_return refused(list.error(), "the remote cluster's list of keep services cannot be fetched");
    const auto servers = protocol::in_probe_order(**list, request_.block.hash);
    protocol::retry_schedule schedule(servers.size(), request_.until);
    while (true) {
        const auto chosen = co_await schedule.next();
        if (!chosen) break;
        auto block = co_await protocol::open_block(cluster_->client(), servers[*chosen]->where, fetch_, request_.until);
        if (!block) {
            schedule.failed(*chosen, std::move(block.error()));
            continue;
        }
        if (begun_ && block->size != size_) {
            schedule.failed(*chosen, wrong_bytes(*block));
            continue;
        }
        const auto taken = co_await take(*block);
        if (taken == step::done) co_return success();
        if (taken == step::abandon) co_return std::unexpected(std::move(failure_));
        if (failure_ == errc::checksum_mismatch) {
            home_.counters_.bad_blocks.add();
            log::warning("a remote keep service sends wrong bytes: " + failure_.text,
                         {{"block", request_.block.bare()}, {"server", net::to_string(servers[*chosen]->where.to)}});
        }
        schedule.failed(*chosen, std::move(failure_));
    }
    if (schedule.all_unreachable()) cluster_->suspect();
    co_return refused(schedule.outcome(), text_for_clients(schedule.outcome().code));
}

// The names and responses of the servers are logged and not sent: the client need not be trusted with them.
std::unexpected<error> remote_read_operation::refused(const error& why, std::string_view text) const {
    if (why == errc::cancelled) return fail(errc::cancelled);
    // A block that does not exist is not worth a warning.
    log::write(why == errc::not_found ? log::level::debug : log::level::warning,
               "cannot read a block of another cluster",
               {{"block", request_.block.bare()}, {"RequestID", request_.request_id}, {"error", why.text}});
    return fail(why.code, std::string(text), why.cause);
}

awaitable<result<std::uint64_t>> remote_read_operation::send_to(byte_sink& sink) {
    KS_CO_CHECK(co_await prepare());
    const auto take = [this, &sink](protocol::incoming_block& block) { return take_and_send(block, sink); };
    KS_CO_CHECK(co_await from_any_server(take));
    co_return size_;
}

awaitable<result<remote_reader::stored_copy>> remote_read_operation::store() {
    KS_CO_CHECK(co_await prepare());
    const auto take = [this](protocol::incoming_block& block) { return take_and_store(block); };
    KS_CO_CHECK(co_await from_any_server(take));
    co_return std::move(stored_);
}

awaitable<remote_read_operation::step> remote_read_operation::take_and_send(protocol::incoming_block& block,
                                                                            byte_sink& sink) {
    store_context& store = home_.store_.context();
    digest::md5_stream hash(
        store.engine, {.queue_bytes = store.request_pool.queue_bytes(), .waypoint_stride = limits::chunk_size_bytes});
    std::uint64_t offset = 0;
    while (true) {
        const_slice piece;
        if (offset < block.size) {
            auto into = co_await store.request_pool.acquire(request_.until);
            if (!into) co_return abandon(std::move(into.error()));
            const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(into->size(), block.size - offset));
            auto count = co_await block.response.read_full(into->bytes.first(wanted));
            if (count && *count != wanted)
                count =
                    fail(errc::unavailable, net::to_string(block.response.from()) + ": the block ends before its size");
            if (!count) {
                error why = protocol::reading_error(std::move(count.error()));
                const auto hashed = co_await hash.drain();
                if (hashed) remember_sent(hash);
                co_return failed(std::move(why));
            }
            piece = into->freeze(wanted);
            if (auto added = co_await hash.update(piece); !added) co_return abandon(std::move(added.error()));
            offset += wanted;
        }
        const bool last = offset == block.size;
        if (last) {
            auto end = co_await protocol::expect_end(block);
            const auto digest = co_await hash.finish();
            if (!digest) co_return abandon(digest.error());
            if (end && *digest != request_.block.hash) end = std::unexpected(wrong_bytes(block));
            if (!end) {
                remember_sent(hash);
                co_return failed(std::move(end.error()));
            }
        } else if (offset <= sent_) {
            // The client has these bytes from another server.
            if (offset < sent_) continue;
            const bool same = co_await agrees_with_sent(hash);
            if (!same) co_return failed(wrong_bytes(block));
            continue;
        } else if (request_.head) {
            continue;
        }
        if (!begun_) {
            begun_ = true;
            size_ = block.size;
            if (auto begun = co_await sink.begin(size_, {0, size_}); !begun)
                co_return abandon(std::move(begun.error()));
        }
        if (!request_.head && piece.size() > 0) {
            proof_.reset();
            if (auto written = co_await sink.write(std::move(piece)); !written)
                co_return abandon(std::move(written.error()));
        }
        if (last) co_return step::done;
        sent_ = offset;
    }
}

// Keeps the MD5 state of the chunks that the client has from a server that failed, to compare the next server's bytes
// with it.
void remote_read_operation::remember_sent(const digest::md5_stream& hash) {
    if (sent_ == 0 || proof_) return;
    const auto states = hash.waypoints();
    const auto chunks = static_cast<std::size_t>(sent_ / limits::chunk_size_bytes);
    if (states.size() >= chunks) proof_ = proven_state{.offset = sent_, .state = states[chunks - 1]};
}

// Whether this server's first bytes are those that the client has from another one.
awaitable<bool> remote_read_operation::agrees_with_sent(digest::md5_stream& hash) {
    if (!proof_ || proof_->offset != sent_) co_return false;
    if (const auto hashed = co_await hash.drain(); !hashed) co_return false;
    co_return hash.state() == proof_->state;
}

awaitable<remote_read_operation::step> remote_read_operation::take_and_store(protocol::incoming_block& block) {
    const block_write_request write{.hash = request_.block.hash,
                                    .path_text = request_.block.bare(),
                                    .storage_classes = {},
                                    .token = request_.token,
                                    .until = request_.until};
    response_source source(block);
    auto stored = co_await home_.store_.block_write(write, source);
    if (stored) {
        stored_ = {.locator = std::move(stored->locator), .size = block.size};
        co_return step::done;
    }
    if (source.failure()) co_return failed(*source.failure());
    // The one error of block_write() in a body of the right length.
    if (stored.error() == errc::bad_request) co_return failed(wrong_bytes(block));
    co_return abandon(std::move(stored.error()));
}

remote_read_operation::step remote_read_operation::abandon(error why) {
    failure_ = std::move(why);
    return step::abandon;
}

remote_read_operation::step remote_read_operation::failed(error why) {
    failure_ = std::move(why);
    return failure_ == errc::cancelled ? step::abandon : step::try_next;
}

error remote_read_operation::wrong_bytes(const protocol::incoming_block& block) const {
    return {errc::checksum_mismatch, net::to_string(block.response.from()) + ": data does not match the block's MD5"};
}

}  // namespace keepstore::store
