#include "base/unique_fd.hpp"
#include "digest/engine.hpp"
#include "digest/md5.hpp"
#include "keepctl/cluster/server_group.hpp"
#include "keepctl/commands/commands.hpp"
#include "pool/buffer_pool.hpp"
#include "protocol/locator.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

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
        return file_ ? success() : failed("open");
    }
    result<void> write(std::span<const std::byte> bytes) {
        if (path_.empty()) {
            out_.write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
            return out_.broken() ? fail(errc::io_error, "standard output is closed or full") : success();
        }
        while (!bytes.empty()) {
            const ssize_t n = ::write(file_.get(), bytes.data(), bytes.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return failed("write");
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
        return success();
    }
    result<void> commit() {
        if (path_.empty()) return success();
        if (::fsync(file_.get()) != 0) return failed("sync");
        if (std::rename(temp_.c_str(), path_.c_str()) != 0) return failed("rename");
        temp_.clear();
        return success();
    }

  private:
    std::unexpected<error> failed(std::string_view what) const {
        error why = error_from_errno(errno, what);
        why.text = fmt::format("{}: {}", path_, why.text);
        return std::unexpected(std::move(why));
    }

    output& out_;
    const std::string path_;
    std::string temp_;
    unique_fd file_;
};

/// Reads one block from the first server with a good copy. When a server fails in the middle the next one goes on from
/// there, provided that its copy begins with the bytes that were written already.
class block_getter {
  public:
    block_getter(session& s, server_group& from, protocol::locator block, destination& to)
        : session_(s),
          from_(from),
          block_(std::move(block)),
          to_(to),
          engine_(1),
          pool_(limits::keepctl_queue_bytes * 4) {}

    awaitable<exit_code> run() {
        if (auto opened = to_.open(); !opened) co_return end(exit_code::usage, opened.error().text);
        error last = {errc::not_found, "no server has it"};
        bool reached = false;
        for (std::size_t number = 0; number < from_.sources(); ++number) {
            auto got = co_await get_from(number);
            if (got) {
                if (auto done = to_.commit(); !done) co_return end(exit_code::not_finished, done.error().text);
                co_return end(exit_code::done, {});
            }
            if (got.error() == errc::cancelled) co_return end(exit_code::interrupted, {});
            if (broken_) co_return end(exit_code::not_finished, got.error().text);
            reached = reached || got.error() == errc::not_found || got.error() == errc::checksum_mismatch;
            if (got.error() != errc::not_found) session_.out().warn(got.error().text);
            if (got.error() != errc::not_found || last == errc::not_found) last = std::move(got.error());
        }
        co_return end(reached ? exit_code::some_failed : exit_code::unreachable,
                      fmt::format("{}: {}", block_.bare(), last.text));
    }

  private:
    awaitable<result<void>> get_from(std::size_t number) {
        const auto until = deadline::in(limits::keepctl_block_timeout);
        const auto order = probe_order(block_.hash, from_.servers());
        KS_CO_TRY(auto incoming, co_await from_.servers()[order[number]].get(block_.hash, block_.size, until));
        protocol::incoming_source source(std::move(incoming),
                                         {limits::transfer_rate_bytes_min, limits::transfer_rate_window});
        protocol::proven_stream bytes(source, block_.hash, engine_, pool_,
                                      {.queue_bytes = limits::keepctl_queue_bytes});
        digest::md5 seen;
        while (true) {
            KS_CO_TRY(const const_slice piece, co_await bytes.next(until));
            if (piece.size() == 0) co_return success();
            const bool again = seen.length() < written_.length();
            seen.update(piece.bytes);
            if (again) {
                // Pieces have the same boundaries, whole numbers of 64 bytes but for the last, which is never written
                // before all is proven.
                if (seen.length() == written_.length() && seen.state() != written_.state())
                    co_return fail(errc::checksum_mismatch, source.where() + ": its copy begins with other bytes");
                continue;
            }
            if (auto written = to_.write(piece.bytes); !written) {
                broken_ = true;
                co_return written;
            }
            written_.update(piece.bytes);
        }
    }

    exit_code end(exit_code code, std::string_view text) {
        if (!text.empty()) session_.out().error(text);
        // Without -o stdout is the block's.
        if (!session_.given().file.empty()) session_.out().end(code);
        return code;
    }

    session& session_;
    server_group& from_;
    const protocol::locator block_;
    destination& to_;
    digest::engine engine_;
    pool::buffer_pool pool_;
    digest::md5 written_;
    bool broken_ = false;  // The destination failed: no server can help.
};

}  // namespace

exit_code run_get(session& s) {
    auto servers = s.servers();
    if (!servers) return end_with(s, servers.error());
    server_group group("cluster", std::move(*servers), {});
    auto block = protocol::locator::parse(s.given().blocks.front());
    destination to(s.out(), s.given().file);
    block_getter getter(s, group, std::move(*block), to);
    return s.run(getter.run());
}

}  // namespace keepstore::keepctl
