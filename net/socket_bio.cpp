#include "net/socket_bio.hpp"

#include "net/socket_io.hpp"

#include <openssl/bio.h>

#include <sys/uio.h>

#include <cstddef>
#include <new>
#include <span>

namespace keepstore::net {
namespace {

const socket_wire& wire_of(BIO* bio) { return *static_cast<const socket_wire*>(BIO_get_data(bio)); }

int wire_write(BIO* bio, const char* data, int size) {
    const auto& w = wire_of(bio);
    BIO_clear_retry_flags(bio);
    const iovec piece{const_cast<char*>(data), static_cast<std::size_t>(size)};
    const auto outcome = send_to_socket(w.fd, {&piece, 1});
    if (w.sent_bytes) *w.sent_bytes += outcome.bytes;
    if (outcome.status == io_status::ok) return static_cast<int>(outcome.bytes);
    if (outcome.status == io_status::want_write) BIO_set_retry_write(bio);
    return -1;
}

int wire_read(BIO* bio, char* data, int size) {
    const auto& w = wire_of(bio);
    BIO_clear_retry_flags(bio);
    const auto into = std::as_writable_bytes(std::span(data, static_cast<std::size_t>(size)));
    const auto outcome = receive_from_socket(w.fd, into, 0);
    if (outcome.status == io_status::ok) return static_cast<int>(outcome.bytes);
    if (outcome.status == io_status::closed) {
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
        return 0;
    }
    if (outcome.status == io_status::want_read) BIO_set_retry_read(bio);
    return -1;
}

long wire_control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

int wire_create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
}

const BIO_METHOD* wire_method() {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "keepstore socket");
        BIO_meth_set_write(m, wire_write);
        BIO_meth_set_read(m, wire_read);
        BIO_meth_set_ctrl(m, wire_control);
        BIO_meth_set_create(m, wire_create);
        return m;
    }();
    return method;
}

}  // namespace

BIO* make_socket_bio(const socket_wire& wire) {
    BIO* const bio = BIO_new(wire_method());
    if (!bio) throw std::bad_alloc();
    BIO_set_data(bio, const_cast<socket_wire*>(&wire));
    return bio;
}

}  // namespace keepstore::net
