#include "net/client/http_client.hpp"

#include "net/client/client_core.hpp"
#include "net/client/http_call.hpp"

namespace keepstore::net {

response::response(std::unique_ptr<http_call> x) noexcept : call_(std::move(x)) {}
response::response(response&&) noexcept = default;
response& response::operator=(response&&) noexcept = default;
response::~response() = default;

unsigned response::status() const noexcept {
    return call_->head().status;
}
std::span<const header_view> response::headers() const noexcept {
    return call_->head().headers;
}

std::string_view response::get(std::string_view name) const noexcept {
    return header_value(headers(), name);
}
bool response::has(std::string_view name) const noexcept {
    return has_header(headers(), name);
}
std::optional<std::uint64_t> response::content_length() const noexcept {
    return call_->head().content_length;
}
const endpoint& response::from() const noexcept {
    return call_->to();
}

awaitable<result<std::size_t>> response::read_some(std::span<std::byte> into) {
    return call_->read(into, false);
}
awaitable<result<std::size_t>> response::read_full(std::span<std::byte> into) {
    return call_->read(into, true);
}
awaitable<result<std::string>> response::read_all(std::size_t limit) {
    return call_->read_all(limit);
}

result<client> client::make(client_options options) {
    KS_TRY(auto tls, tls_client_context::make(options.ca_file, options.tls_insecure));
    auto shared = std::make_shared<client_shared>(std::move(options), std::move(tls));
    return client(std::make_shared<client_core>(std::move(shared)));
}

client::client(std::shared_ptr<client_core> core) noexcept : core_(std::move(core)) {}
client::client(client&&) noexcept = default;
client& client::operator=(client&& other) noexcept {
    if (this == &other) return *this;
    close();
    core_ = std::move(other.core_);
    return *this;
}
client::~client() {
    close();
}

void client::close() noexcept {
    if (core_) core_->close();
}

namespace {

/// Keeps the core alive while the coroutine runs: the client may go meanwhile.
awaitable<result<response>> send_with(std::shared_ptr<client_core> core, request r, deadline until) {
    co_return co_await core->send(std::move(r), until);
}

}  // namespace

awaitable<result<response>> client::send(request r, deadline until) const {
    return send_with(core_, std::move(r), until);
}

const client_counters& client::counters() const noexcept {
    return core_->counters();
}

}  // namespace keepstore::net
