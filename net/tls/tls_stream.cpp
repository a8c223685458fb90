#include "net/tls/tls_stream.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace keepstore::net {

// A BIO on the socket of a stream.
struct tls_stream::bio_functions {
    static tls_stream& of(BIO* bio) { return *static_cast<tls_stream*>(BIO_get_data(bio)); }

    static int write(BIO* bio, const char* data, int size) {
        auto& to = of(bio);
        BIO_clear_retry_flags(bio);
        const iovec piece{const_cast<char*>(data), static_cast<std::size_t>(size)};
        const auto outcome = send_to_socket(to.fd(), {&piece, 1});
        to.count_sent(outcome.bytes);
        if (outcome.status == io_status::ok) return static_cast<int>(outcome.bytes);
        if (outcome.status == io_status::want_write) BIO_set_retry_write(bio);
        return -1;
    }

    static int read(BIO* bio, char* data, int size) {
        BIO_clear_retry_flags(bio);
        const auto into = std::as_writable_bytes(std::span(data, static_cast<std::size_t>(size)));
        const auto outcome = receive_from_socket(of(bio).fd(), into, 0);
        if (outcome.status == io_status::ok) return static_cast<int>(outcome.bytes);
        if (outcome.status == io_status::closed) {
            BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
            return 0;
        }
        if (outcome.status == io_status::want_read) BIO_set_retry_read(bio);
        return -1;
    }

    static long control(BIO* bio, int command, long, void*) {
        if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }

    static int create(BIO* bio) {
        BIO_set_init(bio, 1);
        return 1;
    }

    static const BIO_METHOD* method() {
        static BIO_METHOD* const made = [] {
            BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "keepstore socket");
            BIO_meth_set_write(m, write);
            BIO_meth_set_read(m, read);
            BIO_meth_set_ctrl(m, control);
            BIO_meth_set_create(m, create);
            return m;
        }();
        return made;
    }
};

void tls_stream::freer::operator()(ssl_st* ssl) const noexcept {
    SSL_free(ssl);
}

tls_stream::tls_stream(socket_type socket, ssl_ctx_st* context) : stream(std::move(socket)), ssl_(SSL_new(context)) {
    BIO* const bio = BIO_new(bio_functions::method());
    if (!ssl_ || !bio) {
        BIO_free(bio);
        throw std::bad_alloc();
    }
    BIO_set_data(bio, this);
    SSL_set_bio(ssl_.get(), bio, bio);
}

tls_stream::~tls_stream() = default;

io_status tls_stream::handshake() {
    ERR_clear_error();
    const int r = SSL_do_handshake(ssl_.get());
    if (r == 1) {
        established_ = true;
        return io_status::ok;
    }
    const auto status = status_of(r);
    return status == io_status::closed ? io_status::failed : status;
}

// One record at a time; goes on while OpenSSL or the socket has more, since each gives at most 16 KiB.
io_outcome tls_stream::try_read(std::span<std::byte> into) noexcept {
    std::size_t total = 0;
    while (total < into.size()) {
        std::size_t count = 0;
        ERR_clear_error();
        const int r = SSL_read_ex(ssl_.get(), into.data() + total, into.size() - total, &count);
        if (r != 1) return total ? io_outcome{io_status::ok, total} : io_outcome{status_of(r), 0};
        total += count;
    }
    return {io_status::ok, total};
}

bool tls_stream::has_buffered_input() const noexcept {
    return established_ && SSL_pending(ssl_.get()) > 0;
}

io_status tls_stream::peek() noexcept {
    std::byte one[1];
    std::size_t count = 0;
    ERR_clear_error();
    const int r = SSL_peek_ex(ssl_.get(), one, 1, &count);
    return r == 1 ? io_status::ok : status_of(r);
}

io_outcome tls_stream::write_record(std::span<const std::byte> bytes) noexcept {
    std::size_t count = 0;
    ERR_clear_error();
    const int r = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
    if (r == 1) return {io_status::ok, count};
    const auto status = status_of(r);
    return {status == io_status::closed ? io_status::failed : status, 0};
}

void tls_stream::shutdown() noexcept {
    ERR_clear_error();
    if (established_ && !broken_) SSL_shutdown(ssl_.get());
}

io_status tls_stream::status_of(int outcome) noexcept {
    switch (SSL_get_error(ssl_.get(), outcome)) {
        case SSL_ERROR_WANT_READ:
            return io_status::want_read;
        case SSL_ERROR_WANT_WRITE:
            return io_status::want_write;
        case SSL_ERROR_ZERO_RETURN:
            return io_status::closed;
        default:
            broken_ = true;
            return io_status::failed;
    }
}

std::span<const std::byte> next_record(std::span<const iovec> buffers,
                                       std::array<std::byte, tls_record_bytes_max>& record) noexcept {
    const iovec& first = buffers.front();
    if (first.iov_len >= record.size() || buffers.size() == 1) {
        return {static_cast<const std::byte*>(first.iov_base), first.iov_len};
    }
    std::size_t used = 0;
    for (const iovec& b : buffers) {
        const std::size_t part = std::min(b.iov_len, record.size() - used);
        if (part > 0) std::memcpy(record.data() + used, b.iov_base, part);
        used += part;
    }
    return std::span(record).first(used);
}

}  // namespace keepstore::net
