// GET, HEAD and PUT of blocks (docs/interface.md 2.11, 2.12).
#include "base/limits.hpp"
#include "net/http/text.hpp"
#include "protocol/locator.hpp"
#include "protocol/remote_locator.hpp"
#include "router/range_header.hpp"
#include "router/routes.hpp"

#include <fmt/format.h>

namespace keepstore::router {
namespace {

// Sends a block as the body of a 200, or a part of it as that of a 206. The status line is sent with the first bytes,
// so that a block found to be corrupt before them still gets an error status.
class response_sink final : public byte_sink {
  public:
    enum class kind { whole, part, only_whole };
    // `part`: the request has a range; `only_whole`: the block is served without ranges.
    response_sink(net::server_exchange& ex, kind k, std::string_view entity_tag) noexcept
        : ex_(ex), kind_(k), status_(k == kind::part ? 206 : 200), entity_tag_(entity_tag) {}

    awaitable<result<void>> begin(std::uint64_t size, byte_range body) override {
        size_ = size;
        body_ = body;
        co_return success();
    }

    awaitable<result<void>> wait_ready() override {
        if (!ex_.response_started()) co_return success();  // The first write is into an idle socket.
        co_return co_await ex_.wait_writable();
    }

    awaitable<result<void>> write(const_slice bytes) override {
        if (!ex_.response_started()) KS_CO_CHECK(co_await start());
        co_return co_await ex_.write(bytes.bytes);
    }

    awaitable<result<std::size_t>> write_some(const_slice bytes, when_full mode) override {
        if (!ex_.response_started()) KS_CO_CHECK(co_await start());
        co_return co_await ex_.write_some(bytes.bytes, mode);
    }

    // Ends a successful response; sends the head first if there was no byte of a body (HEAD, the empty block).
    awaitable<result<void>> finish() {
        if (!ex_.response_started()) KS_CO_CHECK(co_await start());
        co_return co_await ex_.finish();
    }

    [[nodiscard]] unsigned status() const noexcept { return status_; }

  private:
    awaitable<result<void>> start() {
        // Not sniffed as in the Go daemon: blocks are bytes, and a browser must not take one for a web page.
        ex_.set_header("Content-Type", "application/octet-stream");
        if (kind_ != kind::only_whole) ex_.set_header("Accept-Ranges", "bytes");
        ex_.set_header("ETag", entity_tag_);
        if (status_ == 206) ex_.set_header("Content-Range", content_range(body_, size_));
        co_return co_await ex_.start(status_, body_.length);
    }

    net::server_exchange& ex_;
    const kind kind_;
    const unsigned status_;
    const std::string_view entity_tag_;
    std::uint64_t size_ = 0;
    byte_range body_;
};

// Splits at commas, trims each part, and drops empty ones (docs/interface.md 2.12, 8.2).
std::vector<std::string> split_classes(std::string_view list) {
    std::vector<std::string> out;
    net::for_each_element(list, [&](std::string_view part) {
        if (!part.empty()) out.emplace_back(part);
    });
    return out;
}

}  // namespace

awaitable<void> routes::read_block(request_context& request, std::string_view locator_text) {
    // Keeps caches from serving the response for a remote locator to a request for a local one.
    request.ex.set_header("Vary", "X-Keep-Signature");
    auto block = protocol::locator::parse(locator_text);
    if (!block) co_return co_await request.reply_error(block.error());
    store::block_read_request read;
    read.has_token = !request.tokens.empty() && !request.tokens.front().empty();
    if (!request.tokens.empty()) read.token = request.tokens.front();
    if (protocol::is_remote(*block)) co_return co_await read_remote_block(request, std::move(*block));
    read.block = std::move(*block);
    read.until = request.ex.get_deadline();
    read.request_id = request.request_id;
    read.head = request.is_head();
    const std::string entity_tag = entity_tag_of(read.block.hash);
    read.range = requested_range(request.ex.head(), entity_tag);
    response_sink sink(request.ex, read.range ? response_sink::kind::part : response_sink::kind::whole, entity_tag);
    const auto size = co_await parts_.store.block_read(read, sink);
    if (!size) {
        // Locators in GETs have a size, and the store has compared it with the block's.
        if (size.error() == errc::range_not_satisfiable)
            request.ex.set_header("Content-Range", content_range(std::nullopt, read.block.size.value_or(0)));
        co_return co_await request.reply_error(size.error());
    }
    request.status = sink.status();
    const auto finished = co_await sink.finish();
    if (!finished) request.cut_off();
}

// Sends a block of another cluster. With X-Keep-Signature: local it is stored here first and then read as a local block
// (docs/interface.md 3.8). Ranges are not served: they could not be verified without fetching the whole block.
awaitable<void> routes::read_remote_block(request_context& request, protocol::locator block) {
    net::server_exchange& ex = request.ex;
    store::remote_read_request read{.block = std::move(block),
                                    .token = request.tokens.empty() ? std::string() : request.tokens.front(),
                                    .request_id = request.request_id,
                                    .head = request.is_head(),
                                    .until = ex.get_deadline()};
    if (!parts_.remote) {
        if (read.token.empty())
            co_return co_await request.reply_error({errc::unauthorized, "no token provided in Authorization header"});
        const auto parsed = protocol::parse_remote_locator(read.block);
        co_return co_await request.reply_error(parsed ? error(errc::bad_request, "remote cluster not configured")
                                                      : parsed.error());
    }
    const std::string entity_tag = entity_tag_of(read.block.hash);
    response_sink sink(ex, response_sink::kind::only_whole, entity_tag);
    const std::string_view wanted = ex.head().get("X-Keep-Signature");
    result<std::uint64_t> size = std::uint64_t{0};
    if (wanted.substr(0, wanted.find(',')) == "local") {
        auto stored = co_await parts_.remote->copy_here(read);
        if (!stored) co_return co_await request.reply_error(stored.error());
        ex.set_header("X-Keep-Locator", stored->locator);
        if (request.is_head()) {
            if (auto begun = co_await sink.begin(stored->size, {0, stored->size}); !begun) co_return request.cut_off();
        } else {
            auto local = protocol::locator::parse(stored->locator);
            if (!local) co_return co_await request.reply_error(local.error());
            const store::block_read_request ours{
                .block = std::move(*local), .token = read.token, .has_token = true, .until = read.until};
            size = co_await parts_.store.block_read(ours, sink);
        }
    } else {
        size = co_await parts_.remote->read(read, sink);
    }
    if (!size) co_return co_await request.reply_error(size.error());
    request.status = sink.status();
    const auto finished = co_await sink.finish();
    if (!finished) request.cut_off();
}

awaitable<void> routes::write_block(request_context& request, std::string_view locator_text) {
    net::server_exchange& ex = request.ex;
    const auto hash = md5_digest::parse(locator_text.substr(0, 32));
    if (!hash) co_return co_await request.reply_plain_error(400, "Bad Request");
    if (ex.head().content_length.value_or(0) > limits::block_size_bytes_max)
        co_return co_await request.reply_error(error(errc::too_large));
    store::block_write_request write;
    write.hash = *hash;
    write.path_text = locator_text;
    write.storage_classes = split_classes(ex.head().get("X-Keep-Storage-Classes"));
    if (!request.tokens.empty()) write.token = request.tokens.front();
    write.until = ex.get_deadline();
    const auto stored = co_await parts_.store.block_write(write, ex.body());
    if (!stored) co_return co_await request.reply_error(stored.error());
    std::string confirmed;
    for (const auto& [name, replicas] : stored->storage_classes) {
        if (replicas <= 0) continue;
        if (!confirmed.empty()) confirmed += ", ";
        confirmed += fmt::format("{}={}", name, replicas);
    }
    ex.set_header("X-Keep-Replicas-Stored", std::to_string(stored->replicas));
    ex.set_header("X-Keep-Storage-Classes-Confirmed", confirmed);
    std::string body = stored->locator;
    body += '\n';
    co_await request.reply(200, body, text_plain);
}

}  // namespace keepstore::router
