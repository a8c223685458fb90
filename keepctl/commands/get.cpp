#include "base/unique_fd.hpp"
#include "digest/engine.hpp"
#include "keepctl/cluster/local_file.hpp"
#include "keepctl/cluster/server_group.hpp"
#include "keepctl/commands/commands.hpp"
#include "pool/buffer_pool.hpp"
#include "protocol/locator.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

/// Where the bytes go: stdout, or a temp file that becomes the file at the end.
class destination {
  public:
    destination(output& out, std::string path) : out_(out), path_(std::move(path)) {}
    ~destination() {
        if (!temp_.empty()) ::unlink(temp_.c_str());
    }
    destination(const destination&) = delete;
    destination& operator=(const destination&) = delete;

    result<void> open() {
        if (path_.empty()) return success();
        temp_ = fmt::format("{}.{}.tmp", path_, ::getpid());
        file_ = unique_fd(::open(temp_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
        if (!file_) return file_error("open", path_);
        return success();
    }
    result<void> write(std::span<const std::byte> bytes) {
        if (path_.empty()) {
            out_.write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
            return out_.broken() ? fail(errc::io_error, "standard output is closed or full") : success();
        }
        return write_all(file_.get(), bytes, path_);
    }
    result<void> commit() {
        if (path_.empty()) return success();
        if (::fsync(file_.get()) != 0) return file_error("sync", path_);
        if (std::rename(temp_.c_str(), path_.c_str()) != 0) return file_error("rename", path_);
        temp_.clear();
        return success();
    }

  private:
    output& out_;
    const std::string path_;
    std::string temp_;
    unique_fd file_;
};

/// Reads one block from the first server with a good copy. The whole block is kept until it is proven (at most 64 MiB):
/// so no wrong byte is ever written, and when a server fails in the middle, or its copy is bad, the next one may have
/// any other beginning.
class block_getter {
  public:
    block_getter(session& s, server_group& from, protocol::locator block, destination& to)
        : session_(s),
          from_(from),
          block_(std::move(block)),
          to_(to),
          engine_(1),
          pool_(limits::keepctl_queue_bytes * 4) {}

    awaitable<outcome<exit_code>> run() {
        if (auto opened = to_.open(); !opened) co_return refuse(exit_code::usage, opened.error());
        error last(errc::not_found, "no server has it");
        bool reached = false;
        for (const auto server : from_.sources(block_.hash)) {
            auto got = co_await get_from(server);
            if (got) co_return write();
            if (got.error() == errc::cancelled) co_return exit_code::interrupted;
            const bool absent = got.error() == errc::not_found;
            reached = reached || absent || got.error() == errc::checksum_mismatch;
            if (!absent) session_.out().warn(got.error().text);
            if (!absent || last == errc::not_found) last = std::move(got.error());
        }
        co_return refuse(reached ? exit_code::some_failed : exit_code::unreachable,
                         fmt::format("{}: {}", block_.bare(), last.text));
    }

  private:
    awaitable<result<void>> get_from(std::size_t server) {
        const auto until = deadline::in(limits::keepctl_block_timeout);
        const auto& asked = from_.servers()[server];
        auto size = block_.size;
        // Servers want it in a GET (docs/interface.md 2.11), and HEAD tells it.
        if (!size) {
            KS_CO_TRY(size, co_await asked.head(block_.hash, std::nullopt, until));
        }
        KS_CO_TRY(auto incoming, co_await asked.get(block_.hash, size, until));
        protocol::incoming_source source(std::move(incoming),
                                         {limits::transfer_rate_bytes_min, limits::transfer_rate_window});
        protocol::proven_stream bytes(source, block_.hash, engine_, pool_,
                                      {.queue_bytes = limits::keepctl_queue_bytes});
        received_.clear();
        received_.reserve(bytes.size());
        while (true) {
            KS_CO_TRY(const const_slice piece, co_await bytes.next(until));
            if (piece.size() == 0) co_return success();
            received_.insert(received_.end(), piece.bytes.begin(), piece.bytes.end());
        }
    }

    outcome<exit_code> write() {
        auto written = to_.write(received_);
        if (session_.out().broken()) return session_.out().end(exit_code::not_finished);
        if (written) written = to_.commit();
        if (!written) return refuse(exit_code::not_finished, written.error());
        return session_.out().end(exit_code::done);
    }

    session& session_;
    server_group& from_;
    const protocol::locator block_;
    destination& to_;
    digest::engine engine_;
    pool::buffer_pool pool_;
    std::vector<std::byte> received_;
};

}  // namespace

outcome<exit_code> run_get(session& s) {
    KS_TRY(auto servers, s.servers());
    server_group group("cluster", std::move(servers), {}, s.context().loops);
    auto block = protocol::locator::parse(s.given().blocks.front());
    destination to(s.out(), s.given().file);
    block_getter getter(s, group, std::move(*block), to);
    return s.run(getter.run());
}

}  // namespace keepstore::keepctl
