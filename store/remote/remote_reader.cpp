#include "store/remote/remote_reader.hpp"

#include "store/remote/remote_read_operation.hpp"

namespace keepstore::store {
namespace {

bool callers_mistake(const error& why) {
    return why == errc::unauthorized || why == errc::bad_request || why == errc::not_found || why == errc::cancelled;
}

}  // namespace

remote_reader::remote_reader(std::vector<cluster> clusters, block_store& store,
                             protocol::remote_services_options options)
    : store_(store) {
    for (auto& c : clusters)
        clusters_[c.id] = std::make_shared<protocol::remote_services>(std::move(c.api), *c.client, options);
}

remote_reader::~remote_reader() {
    for (const auto& [id, services] : clusters_) services->close();
}

void remote_reader::count(const result<std::uint64_t>& size) {
    if (size) {
        counters_.blocks.add();
        counters_.bytes.add(*size);
    } else if (!callers_mistake(size.error())) {
        counters_.errors.add();
    }
}

awaitable<result<std::uint64_t>> remote_reader::read(const remote_read_request& request, byte_sink& sink) {
    remote_read_operation operation(*this, request);
    auto size = co_await operation.send_to(sink);
    count(size);
    co_return size;
}

awaitable<result<remote_reader::stored_copy>> remote_reader::copy_here(const remote_read_request& request) {
    remote_read_operation operation(*this, request);
    auto stored = co_await operation.store();
    count(stored ? result<std::uint64_t>(stored->size) : std::unexpected(stored.error()));
    co_return stored;
}

}  // namespace keepstore::store
