/// keepstore_index_stub: a server whose volumes hold any number of blocks that do not exist, for tools that read
/// indexes. Names are made up as they are sent, so that neither memory nor time on a disk is spent on them.
///
///     keepstore_index_stub --blocks 10000000 --copies 2 --mounts 4
///
/// prints its port. One thread for each connection. GET /mounts/UUID/blocks?prefix=, /index/PREFIX, /mounts, /_work;
/// PUT of a list is taken and counted. Any token is good.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t shards = 4096;
constexpr std::string_view digits = "0123456789abcdef";

struct settings {
    std::uint64_t blocks = 100'000;
    unsigned copies = 2;
    unsigned mounts = 4;
    unsigned first_mount = 0;  // Numbers of its own volumes begin here: several stubs are one cluster.
    unsigned all_mounts = 0;   // Of the whole cluster; 0: its own.
};

/// The finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
std::uint64_t mixed(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

void append_hex(std::string& out, std::uint64_t value, unsigned count) {
    for (unsigned i = count; i-- > 0;) out += digits[value >> (4 * i) & 15];
}

std::string uuid_of(unsigned number) {
    std::string text = std::to_string(number);
    return "zzzzz-nyw5e-" + std::string(15 - text.size(), '0') + text;
}

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

class connection {
  public:
    connection(int fd, const settings& s) : fd_(fd), settings_(s) {}

    void serve() {
        while (read_head()) {
            if (!respond()) break;
        }
        ::close(fd_);
    }

  private:
    bool read_more() {
        std::array<char, 65536> buffer{};
        const auto n = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (n <= 0) return false;
        received_.append(buffer.data(), static_cast<std::size_t>(n));
        return true;
    }

    bool read_head() {
        std::size_t end = 0;
        while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
            if (!read_more()) return false;
        }
        head_ = received_.substr(0, end);
        received_.erase(0, end + 4);
        const auto first = head_.substr(0, head_.find("\r\n"));
        method_ = first.substr(0, first.find(' '));
        const auto rest = first.substr(method_.size() + 1);
        target_ = rest.substr(0, rest.find(' '));
        std::size_t length = 0;
        if (const auto at = head_.find("Content-Length: "); at != std::string::npos)
            length = std::strtoull(head_.c_str() + at + 16, nullptr, 10);
        while (received_.size() < length) {
            if (!read_more()) return false;
        }
        received_.erase(0, length);
        return true;
    }

    bool reply(std::string_view status, std::string_view body) {
        return send_all(fd_, "HTTP/1.1 " + std::string(status) + "\r\nDate: " + date() +
                                 "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
    }

    static std::string date() {
        const std::time_t now = std::time(nullptr);
        std::tm parts{};
        gmtime_r(&now, &parts);
        std::array<char, 64> text{};
        const auto n = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
        return {text.data(), n};
    }

    bool respond() {
        if (method_ == "PUT") return reply("200 OK", "");
        if (target_ == "/mounts") return reply("200 OK", mounts_json());
        if (target_ == "/_work")
            return reply("200 OK", R"({"pull":{"pending":0,"in_progress":0},"trash":{"pending":0,"in_progress":0}})");
        constexpr std::string_view mount_path = "/mounts/";
        constexpr std::string_view index_path = "/index/";
        if (target_.starts_with(index_path)) return send_index(all_of_them, target_.substr(index_path.size()));
        const auto query = target_.find("/blocks?prefix=");
        if (!target_.starts_with(mount_path) || query == std::string::npos) return reply("404 Not Found", "");
        const auto uuid = target_.substr(mount_path.size(), query - mount_path.size());
        for (unsigned i = 0; i < settings_.mounts; ++i) {
            if (uuid_of(settings_.first_mount + i) == uuid)
                return send_index(settings_.first_mount + i, target_.substr(query + 15));
        }
        return reply("404 Not Found", "");
    }

    std::string mounts_json() const {
        std::string out = "[";
        for (unsigned i = 0; i < settings_.mounts; ++i) {
            if (i > 0) out += ',';
            const auto uuid = uuid_of(settings_.first_mount + i);
            out += R"({"uuid":")" + uuid + R"(","device_id":"stub-)" + uuid +
                   R"(","allow_write":true,"allow_trash":true,"replication":1,"storage_classes":{"default":true}})";
        }
        return out + "]";
    }

    static constexpr unsigned all_of_them = ~0U;

    bool has(unsigned mount, std::uint64_t block) const {
        const unsigned all = settings_.all_mounts;
        const auto first = static_cast<unsigned>(mixed(block) % all);
        const auto holds = [&](unsigned m) { return (m + all - first) % all < settings_.copies; };
        if (mount != all_of_them) return holds(mount);
        for (unsigned i = 0; i < settings_.mounts; ++i) {
            if (holds(settings_.first_mount + i)) return true;
        }
        return false;
    }

    bool send_chunk(std::string& body) {
        std::string out;
        std::string size;
        append_hex(size, body.size(), 8);
        out = size + "\r\n" + body + "\r\n";
        body.clear();
        return send_all(fd_, out);
    }

    // Blocks begin with the number of their shard; prefixes of up to three digits are those of shards.
    bool send_index(unsigned mount, std::string_view prefix) {
        if (!send_all(fd_, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")) return false;
        std::string body;
        body.reserve(1 << 18);
        for (std::size_t shard = 0; shard < shards; ++shard) {
            std::string name;
            append_hex(name, shard, 3);
            if (!name.starts_with(prefix)) continue;
            const auto count = settings_.blocks / shards + (shard < settings_.blocks % shards ? 1 : 0);
            for (std::uint64_t i = 0; i < count; ++i) {
                const std::uint64_t block = i * shards + shard;
                if (!has(mount, block)) continue;
                body += name;
                append_hex(body, mixed(block ^ 0x5bd1e995), 13);
                append_hex(body, mixed(block ^ 0xc2b2ae35), 16);
                body += "+1048576 1600000000";
                const auto nanoseconds = mixed(block + mount) % 1'000'000'000;
                const auto text = std::to_string(nanoseconds);
                body.append(9 - text.size(), '0');
                body += text;
                body += '\n';
                if (body.size() > 250'000 && !send_chunk(body)) return false;
            }
        }
        body += '\n';
        return send_chunk(body) && send_all(fd_, "0\r\n\r\n");
    }

    const int fd_;
    const settings& settings_;
    std::string received_;
    std::string head_;
    std::string method_;
    std::string target_;
};

bool parse(int argc, char** argv, settings& out) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const auto value = std::strtoull(argv[i + 1], nullptr, 10);
        if (name == "--blocks")
            out.blocks = value;
        else if (name == "--copies")
            out.copies = static_cast<unsigned>(value);
        else if (name == "--mounts")
            out.mounts = static_cast<unsigned>(value);
        else if (name == "--first-mount")
            out.first_mount = static_cast<unsigned>(value);
        else if (name == "--all-mounts")
            out.all_mounts = static_cast<unsigned>(value);
        else
            return false;
    }
    if (out.all_mounts == 0) out.all_mounts = out.mounts;
    return argc % 2 == 1 && out.mounts > 0 && out.copies <= out.all_mounts;
}

}  // namespace

int main(int argc, char** argv) {
    settings s;
    if (!parse(argc, argv, s)) {
        std::fputs("keepstore_index_stub [--blocks N] [--copies N] [--mounts N] [--first-mount N] [--all-mounts N]\n",
                   stderr);
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const where = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener, where, size) != 0 || ::listen(listener, 128) != 0 ||
        ::getsockname(listener, where, &size) != 0) {
        std::perror("keepstore_index_stub");
        return 1;
    }
    std::printf("%u\n", static_cast<unsigned>(ntohs(address.sin_port)));
    std::fflush(stdout);
    while (true) {
        const int fd = ::accept(listener, nullptr, nullptr);
        if (fd < 0) continue;
        const int one = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        std::thread([fd, &s] { connection(fd, s).serve(); }).detach();
    }
}
