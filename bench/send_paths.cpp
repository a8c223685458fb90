/// keepstore_send_paths: serves the blocks of a Directory volume over HTTP by one of several send
/// paths, with the daemon's digest engine and nothing else of the daemon: no volume threads, no
/// pool, no router. It shows the cost of each path, and so the gain of choosing another one.
/// keepstore_load is the client, as for the daemon (scripts/bench send-paths).
///
/// One event loop for each core, connections dealt to them in turn.
#include "base/event_loop_group.hpp"
#include "bench/http_client.hpp"
#include "bench/send_path.hpp"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

namespace keepstore::bench {

namespace {

using asio::ip::tcp;

constexpr std::size_t head_bytes_max = 4096;
constexpr int backlog = 4096;

struct settings {
    std::string root;
    send_path path = send_path::copy;
    unsigned threads = 0;
    int unsent_bytes = 0;  ///< TCP_NOTSENT_LOWAT; 0: the kernel may take megabytes ahead of a slow reader.
};

struct event_loop {
    explicit event_loop(digest::engine& engine, std::atomic<unsigned>& requests)
        : resources{.engine = engine, .requests = requests} {}

    asio::io_context context{1};
    send_resources resources;
};

/// Reads on until a request's head is complete. \returns the first line's second word less its slash,
/// up to a '+'; nothing when the client left or sends no requests.
awaitable<std::optional<std::string>> read_request(tcp::socket& socket, std::string& input) {
    while (true) {
        const auto end = input.find("\r\n\r\n");
        if (end != std::string::npos) {
            auto target = input.substr(0, std::min(input.find(" HTTP/"), end));
            input.erase(0, end + 4);
            const auto slash = target.find('/');
            if (slash == std::string::npos) co_return std::nullopt;
            target.erase(0, slash + 1);
            co_return target.substr(0, target.find('+'));
        }
        if (input.size() > head_bytes_max) co_return std::nullopt;
        std::array<char, 1024> more{};
        const auto [ec, count] = co_await socket.async_read_some(asio::buffer(more.data(), more.size()), use_tuple);
        if (ec) co_return std::nullopt;
        input.append(more.data(), count);
    }
}

bool send_head(tcp::socket& socket, int status, std::size_t length) {
    const auto head =
        fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\n\r\n", status == 200 ? "200 OK" : "404 Not Found", length);
    // The first bytes of an answer always fit into the socket's buffer: the one before was taken.
    return ::send(socket.native_handle(), head.data(), head.size(), MSG_NOSIGNAL | (length > 0 ? MSG_MORE : 0)) ==
           static_cast<ssize_t>(head.size());
}

awaitable<void> serve(event_loop& loop, const send_files& files, send_path path, tcp::socket socket) {
    std::string input;
    while (true) {
        const auto name = co_await read_request(socket, input);
        if (!name) co_return;
        const send_file* const file = files.find(*name);
        if (!send_head(socket, file ? 200 : 404, file ? file->size : 0)) co_return;
        if (file == nullptr) continue;
        ++loop.resources.requests;
        const bool sent = co_await send_block(path, loop.resources, *file, socket);
        --loop.resources.requests;
        if (!sent) co_return;
    }
}

awaitable<void> accept_all(tcp::acceptor& acceptor, std::span<const std::unique_ptr<event_loop>> loops,
                           const send_files& files, send_path path) {
    for (std::size_t next = 0;; next = (next + 1) % loops.size()) {
        event_loop& loop = *loops[next];
        auto [ec, socket] = co_await acceptor.async_accept(loop.context, use_tuple);
        if (ec) {
            fmt::print(stderr, "keepstore_send_paths: accept: {}\n", ec.message());
            std::exit(1);
        }
        socket.set_option(tcp::no_delay(true));
        socket.native_non_blocking(true);
        asio::co_spawn(loop.context, serve(loop, files, path, std::move(socket)), asio::detached);
    }
}

settings parse(std::span<char*> arguments) {
    settings s{.threads = usable_processors()};
    for (std::size_t i = 1; i < arguments.size(); i += 2) {
        const std::string name = arguments[i];
        if (i + 1 == arguments.size()) throw std::invalid_argument(name + " needs a value");
        const std::string value = arguments[i + 1];
        if (name == "--root") {
            s.root = value;
        } else if (name == "--threads") {
            s.threads = static_cast<unsigned>(std::stoul(value));
        } else if (name == "--unsent") {
            s.unsent_bytes = std::stoi(value);
        } else if (name == "--path") {
            const auto path = parse_send_path(value);
            if (!path) throw std::invalid_argument("no such path: " + value);
            s.path = *path;
        } else {
            throw std::invalid_argument("unknown option " + name);
        }
    }
    if (s.root.empty() || s.threads == 0) throw std::invalid_argument("--root is missing");
    return s;
}

[[noreturn]] void run(const settings& s) {
    // sendfile has no MSG_NOSIGNAL: a client that leaves would end the process.
    std::signal(SIGPIPE, SIG_IGN);
    send_files files;
    files.load(s.root);
    if (files.count() == 0) throw std::runtime_error("no blocks below " + s.root);
    std::atomic<unsigned> requests{0};
    digest::engine engine(s.threads);
    std::vector<std::unique_ptr<event_loop>> loops;
    for (unsigned i = 0; i < s.threads; ++i) {
        loops.push_back(std::make_unique<event_loop>(engine, requests));
    }
    tcp::acceptor acceptor(loops.front()->context);
    acceptor.open(tcp::v4());
    // Accepted sockets inherit it.
    if (!set_congestion(acceptor.native_handle(), "cubic")) {
        throw std::runtime_error("TCP_CONGESTION=cubic is not to be had");
    }
    if (s.unsent_bytes > 0 && ::setsockopt(acceptor.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &s.unsent_bytes,
                                           sizeof s.unsent_bytes) != 0) {
        throw std::runtime_error("TCP_NOTSENT_LOWAT is not to be had");
    }
    acceptor.bind({asio::ip::address_v4::loopback(), 0});
    acceptor.listen(backlog);
    asio::co_spawn(loops.front()->context, accept_all(acceptor, loops, files, s.path), asio::detached);
    fmt::print("http://127.0.0.1:{}\n", acceptor.local_endpoint().port());
    std::fflush(stdout);

    std::vector<std::jthread> threads;
    for (const auto& loop : loops) {
        threads.emplace_back([&loop] {
            const auto work = asio::make_work_guard(loop->context);
            loop->context.run();
        });
    }
    for (auto& thread : threads) thread.join();
    std::exit(1);  // Not reached: a signal ends it.
}

}  // namespace

}  // namespace keepstore::bench

int main(int argc, char** argv) {
    using namespace keepstore::bench;
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (argc > 1 && std::string_view(argv[1]) == "--help") {
        fmt::print(
            "keepstore_send_paths --root VOLUME [--path copy|sendfile-read|sendfile-map|sendfile-plain] "
            "[--threads N] [--unsent BYTES]\n"
            "Serves GET /HASH until it is killed; prints its URL when it is ready.\n");
        return 0;
    }
    try {
        run(parse(arguments));
    } catch (const std::exception& e) {
        fmt::print(stderr, "keepstore_send_paths: {}\n", e.what());
        return 2;
    }
}
