/// keepstore_object_stub: an object store in memory that speaks as much of S3 and of Azure Blob storage as the daemon's
/// volumes need, so that both drivers can be measured on the same service, and on one that is not the limit.
///
///     keepstore_object_stub --keep 4294967296
///
/// prints its port. One thread for each connection. Signatures and MD5s are not checked; the objects that were written
/// last are kept, up to a number of bytes.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace {

/// Shared: a change of the metadata alone does not copy a block.
using content_ptr = std::shared_ptr<const std::string>;

struct object {
    content_ptr content;
    std::string metadata;  ///< Lines of a header.
    std::uint64_t version = 0;
};

class object_store {
  public:
    explicit object_store(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

    std::shared_ptr<const object> find(const std::string& path) const {
        const std::lock_guard lock(mutex_);
        const auto found = objects_.find(path);
        return found == objects_.end() ? nullptr : found->second;
    }
    std::uint64_t put(const std::string& path, content_ptr content, std::string metadata) {
        const std::lock_guard lock(mutex_);
        auto made = std::make_shared<object>(std::move(content), std::move(metadata), ++versions_);
        bytes_ += made->content->size();
        order_.push_back(path);
        auto& place = objects_[path];
        if (place) bytes_ -= place->content->size();
        place = std::move(made);
        while (bytes_ > bytes_max_ && order_.size() > 1) {
            const auto oldest = objects_.find(order_.front());
            order_.pop_front();
            if (oldest == objects_.end()) continue;
            bytes_ -= oldest->second->content->size();
            objects_.erase(oldest);
        }
        return versions_;
    }
    void remove(const std::string& path) {
        const std::lock_guard lock(mutex_);
        const auto found = objects_.find(path);
        if (found == objects_.end()) return;
        bytes_ -= found->second->content->size();
        objects_.erase(found);
    }

  private:
    const std::uint64_t bytes_max_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::map<std::string, std::shared_ptr<const object>> objects_;
    std::deque<std::string> order_;
    std::uint64_t bytes_ = 0;
    std::uint64_t versions_ = 0;
};

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

struct request_head {
    std::string method;
    std::string path;
    std::string query;
    std::map<std::string, std::string> headers;  ///< Lower-case names.

    [[nodiscard]] std::string get(const std::string& name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? "" : found->second;
    }
    [[nodiscard]] bool asks(std::string_view part) const { return query.find(part) != std::string::npos; }
    /// The value of a parameter of the query, decoded; empty if there is none.
    [[nodiscard]] std::string argument(const std::string& name) const {
        const auto at = ("&" + query).find("&" + name + "=");
        if (at == std::string::npos) return {};
        const auto begin = at + name.size() + 1;
        const auto text = query.substr(begin, query.find('&', begin) - begin);
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const bool escaped = text[i] == '%' && i + 2 < text.size();
            out += escaped ? static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16)) : text[i];
            if (escaped) i += 2;
        }
        return out;
    }
    [[nodiscard]] bool is_azure() const { return headers.contains("x-ms-version"); }
};

class connection {
  public:
    connection(int fd, object_store& store) : fd_(fd), store_(store) {}

    void serve() {
        while (const auto head = read_head()) {
            if (!respond(*head)) return;
        }
    }

  private:
    std::optional<request_head> read_head() {
        std::size_t end = std::string::npos;
        while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
            char buffer[16384];
            const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
            if (n <= 0) return std::nullopt;
            input_.append(buffer, static_cast<std::size_t>(n));
        }
        request_head out;
        std::string_view text(input_.data(), end + 2);
        const auto line = text.substr(0, text.find("\r\n"));
        out.method = line.substr(0, line.find(' '));
        const auto target = line.substr(out.method.size() + 1, line.rfind(' ') - out.method.size() - 1);
        out.path = target.substr(0, target.find('?'));
        if (out.path.size() < target.size()) out.query = target.substr(out.path.size() + 1);
        for (text.remove_prefix(line.size() + 2); !text.empty();) {
            const auto one = text.substr(0, text.find("\r\n"));
            text.remove_prefix(one.size() + 2);
            const auto colon = std::min(one.find(':'), one.size());
            std::string name(one.substr(0, colon));
            std::ranges::transform(name, name.begin(),
                                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            auto value = one.substr(std::min(colon + 1, one.size()));
            value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
            out.headers[std::move(name)] = std::string(value);
        }
        input_.erase(0, end + 4);
        return out;
    }

    std::optional<std::string> read_body(const request_head& head) {
        const auto length = head.get("content-length");
        const auto size = length.empty() ? 0 : std::stoull(length);
        if (!head.get("expect").empty() && !send_all(fd_, "HTTP/1.1 100 Continue\r\n\r\n")) return std::nullopt;
        std::string body = input_.substr(0, size);
        input_.erase(0, body.size());
        auto got = body.size();
        body.resize(size);
        while (got < size) {
            const auto n = ::recv(fd_, body.data() + got, size - got, 0);
            if (n <= 0) return std::nullopt;
            got += static_cast<std::size_t>(n);
        }
        return body;
    }

    bool reply(unsigned status, const std::string& headers, std::string_view body = {}, bool with_body = true) {
        std::string text =
            "HTTP/1.1 " + std::to_string(status) + " Stub\r\nx-ms-request-id: r\r\nx-amz-request-id: r\r\n" + headers;
        if (status != 204) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
        text += "\r\n";
        // Small responses in one packet.
        if (with_body && body.size() < 4096) return send_all(fd_, text.append(body));
        return send_all(fd_, text) && (!with_body || send_all(fd_, body));
    }
    bool refuse(const request_head& head, unsigned status, const std::string& code) {
        return reply(status, "x-ms-error-code: " + code + "\r\n", "<Error><Code>" + code + "</Code></Error>",
                     head.method != "HEAD");
    }
    static std::string stamp(std::uint64_t version) {
        return "ETag: \"0x" + std::to_string(version) + "\"\r\nLast-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\n";
    }
    static std::string metadata_of(const request_head& head) {
        std::string out;
        for (const auto& [name, value] : head.headers) {
            if (name.starts_with("x-ms-meta-") || name.starts_with("x-amz-meta-")) out += name + ": " + value + "\r\n";
        }
        return out;
    }

    bool respond(const request_head& head) {
        auto whole = read_body(head);
        if (!whole) return false;
        const auto body = std::make_shared<const std::string>(std::move(*whole));
        if (head.asks("list-type=2"))
            return reply(200, "", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");
        if (head.asks("uploads") && head.method == "GET")
            return reply(200, "",
                         "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>");
        if (head.argument("comp") == "list")
            return reply(200, "", "<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>");
        if (const auto done = respond_to_part(head, body)) return *done;
        const auto there = store_.find(head.path);
        if (head.method == "PUT") return put(head, body, there);
        if (head.method == "DELETE") {
            store_.remove(head.path);
            return reply(head.is_azure() ? 202 : 204, "");
        }
        if (!there) return refuse(head, 404, head.is_azure() ? "BlobNotFound" : "NoSuchKey");
        return get(head, *there);
    }

    /// Parts are objects next to the one that they will be. S3: POST ?uploads, PUT ?partNumber=, POST or DELETE
    /// ?uploadId=; Azure: PUT ?comp=block, PUT ?comp=blocklist. nullopt: it is no request of these.
    std::optional<bool> respond_to_part(const request_head& head, const content_ptr& body) {
        if (head.method == "POST" && head.asks("uploads")) {
            const auto id = std::to_string(store_.put(head.path + "#", std::make_shared<const std::string>(), {}));
            return reply(
                200, "",
                "<InitiateMultipartUploadResult><UploadId>" + id + "</UploadId></InitiateMultipartUploadResult>");
        }
        if (head.method == "PUT" && head.asks("partNumber="))
            return reply(200, stamp(store_.put(part_path(head, head.argument("partNumber")), body, {})));
        if (head.method == "PUT" && head.argument("comp") == "block")
            return reply(201, stamp(store_.put(part_path(head, head.argument("blockid")), body, {})));
        if (head.method == "PUT" && head.argument("comp") == "blocklist")
            return reply(201, stamp(join(head, *body, "Latest")));
        if (head.method == "POST" && head.asks("uploadId=")) {
            join(head, *body, "PartNumber");
            return reply(200, "",
                         "<CompleteMultipartUploadResult><ETag>\"x-1\"</ETag></CompleteMultipartUploadResult>");
        }
        if (head.method == "DELETE" && head.asks("uploadId=")) return reply(204, "");
        return std::nullopt;
    }
    static std::string part_path(const request_head& head, const std::string& id) {
        return head.path + "#" + head.argument("uploadId") + "#" + id;
    }
    /// Makes the object of the parts that the list names in elements of this name. \returns its version.
    std::uint64_t join(const request_head& head, const std::string& list, const std::string& element) {
        const auto open = "<" + element + ">";
        std::string content;
        for (auto at = list.find(open); at != std::string::npos; at = list.find(open, at)) {
            at += open.size();
            const auto path = part_path(head, list.substr(at, list.find('<', at) - at));
            if (const auto part = store_.find(path)) content += *part->content;
            store_.remove(path);
        }
        return store_.put(head.path, std::make_shared<const std::string>(std::move(content)), metadata_of(head));
    }

    bool put(const request_head& head, const content_ptr& body, const std::shared_ptr<const object>& there) {
        if (head.get("if-none-match") == "*" && there)
            return head.is_azure() ? refuse(head, 409, "BlobAlreadyExists") : refuse(head, 412, "PreconditionFailed");
        const bool only_metadata = head.argument("comp") == "metadata";
        if (only_metadata && !there) return refuse(head, 404, "BlobNotFound");
        const auto version = store_.put(head.path, only_metadata ? there->content : body, metadata_of(head));
        return reply(head.is_azure() && !only_metadata ? 201 : 200, stamp(version));
    }

    bool get(const request_head& head, const object& found) {
        const auto headers = stamp(found.version) + found.metadata;
        auto range = head.get("x-ms-range");
        if (range.empty()) range = head.get("range");
        if (range.empty()) return reply(200, headers, *found.content, head.method == "GET");
        const auto dash = range.find('-');
        const auto first = std::stoull(range.substr(6, dash - 6));
        const auto size = found.content->size();
        if (first >= size) return refuse(head, 416, "InvalidRange");
        const auto last =
            dash + 1 < range.size() ? std::min<std::size_t>(std::stoull(range.substr(dash + 1)), size - 1) : size - 1;
        return reply(206,
                     headers + "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                         std::to_string(size) + "\r\n",
                     std::string_view(*found.content).substr(first, last - first + 1));
    }

    const int fd_;
    object_store& store_;
    std::string input_;
};

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    std::uint64_t keep = 2ULL << 30;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::string_view(argv[i]) != "--keep") return 2;
        keep = std::strtoull(argv[i + 1], nullptr, 10);
    }
    object_store store(keep);
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 1024) != 0 || ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        std::perror("keepstore_object_stub");
        return 1;
    }
    std::printf("%d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    while (true) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) continue;
        const int one = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        std::thread([fd, &store] {
            connection(fd, store).serve();
            ::close(fd);
        }).detach();
    }
}
