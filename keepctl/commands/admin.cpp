// touch, trash and untrash: one request for each block to every server.

#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/server_group.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/input.hpp"
#include "protocol/locator.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace keepstore::keepctl {
namespace {

// Servers are asked about this many blocks at a time.
constexpr std::size_t blocks_at_a_time = 8;

enum class reply_kind { done, absent, failed };
struct reply {
    reply_kind kind = reply_kind::failed;
    std::string why;
    bool reached = false;
};

/// All blocks of a command line, each once, in the order given.
outcome<std::vector<md5_digest>> blocks_of(const arguments& given) {
    std::vector<md5_digest> out;
    if (!given.from_file.empty()) {
        KS_TRY(out, read_names("--from", given.from_file));
    }
    for (const auto& word : given.blocks) {
        const auto name = protocol::locator::parse(word)->hash;
        if (std::ranges::find(out, name) == out.end()) out.push_back(name);
    }
    if (out.empty()) return refuse(exit_code::usage, "no blocks are given");
    return out;
}

class admin_request {
  public:
    admin_request(const std::vector<keep_server>& servers, std::string method, std::string path)
        : servers_(servers), method_(std::move(method)), path_(std::move(path)) {}

    /// After a success each server verifies its copy, too (HEAD).
    void verify_afterwards() noexcept { verifies_ = true; }

    /// Asks all servers about these blocks. \returns the replies about the first one in the order of servers, then
    /// those about the next one.
    awaitable<result<std::vector<reply>>> ask(std::span<const md5_digest> blocks) const {
        const auto servers = servers_.size();
        co_return co_await all_at_once(blocks.size() * servers, [&](std::size_t i) {
            return ask_one(servers_[i % servers], blocks[i / servers]);
        });
    }

  private:
    awaitable<reply> ask_one(const keep_server& server, md5_digest block) const {
        reply out;
        auto response = co_await server.request(method_, path_ + block.hex(), server.access().token,
                                                deadline::in(limits::keepctl_block_timeout));
        if (!response) {
            out.why = response.error().text;
            co_return out;
        }
        out.reached = response->status != 401 && response->status != 403;
        if (response->status == 200 && verifies_)
            co_await verify(server, block, out);
        else if (response->status == 200)
            out.kind = reply_kind::done;
        else if (response->status == 404)
            out.kind = reply_kind::absent;
        else
            out.why = server.refused(*response, method_).text;
        co_return out;
    }

    static awaitable<void> verify(const keep_server& server, md5_digest block, reply& out) {
        const auto size = co_await server.head(block, std::nullopt, deadline::in(limits::keepctl_block_timeout));
        // Without the signing key the copy is there, as the server said, and what it is worth is not known.
        const bool unknown = !size && size.error() == errc::forbidden;
        if (size || unknown) out.kind = reply_kind::done;
        if (!size) out.why = (unknown ? "not verified: " : "") + size.error().text;
    }

    const std::vector<keep_server>& servers_;
    const std::string method_;
    const std::string path_;
    bool verifies_ = false;
};

/// Sends the request for all blocks. `word` names success.
awaitable<outcome<exit_code>> ask_all(session& s, const std::vector<keep_server>& servers,
                                      const std::vector<md5_digest>& blocks, const admin_request& request,
                                      std::string word) {
    bool reached = false;
    std::int64_t done = 0;
    std::int64_t failed = 0;
    for (std::size_t first = 0; first < blocks.size(); first += blocks_at_a_time) {
        const auto some = std::span(blocks).subspan(first, std::min(blocks_at_a_time, blocks.size() - first));
        const auto replies = co_await request.ask(some);
        if (!replies) co_return exit_code::interrupted;
        for (std::size_t b = 0; b < some.size(); ++b) {
            bool any = false;
            bool all = true;
            for (std::size_t i = 0; i < servers.size(); ++i) {
                const auto& a = (*replies)[b * servers.size() + i];
                reached = reached || a.reached;
                any = any || a.kind == reply_kind::done;
                all = all && a.kind != reply_kind::failed;
                s.out().add("block", {{"block", some[b].hex()},
                                      {"server", servers[i].url()},
                                      {"state", a.kind == reply_kind::done     ? word
                                                : a.kind == reply_kind::absent ? "absent"
                                                                               : "failed"},
                                      {"note", a.why.empty() ? cell() : cell(a.why)}});
            }
            ++(any && all ? done : failed);
        }
    }
    const auto code = !reached ? exit_code::unreachable : failed > 0 ? exit_code::some_failed : exit_code::done;
    co_return s.out().end(code, {{"done", done}, {"failed", failed}});
}

awaitable<result<std::vector<entry>>> copies_of(server_group& group, md5_digest block) {
    std::vector<entry> out;
    listing_notes notes;
    KS_CO_CHECK(co_await group.list(block.hex(), out, notes, deadline::in(limits::keepctl_request_timeout)));
    sort_entries(out);
    co_return out;
}

void show_copy(output& out, const server_group& group, const entry& e, std::string state) {
    const auto& m = group.mounts()[e.mount];
    out.add("copy", {{"block", block_id{e.block, e.size}.text()},
                     {"server", m.server},
                     {"mount", m.uuid},
                     {"written", time_text(e.mtime)},
                     {"state", std::move(state)}});
}

/// --dry-run of touch and untrash: the copies that servers have now. `absent_fails`: a block without one is a failure,
/// else it is one that the servers would be asked for.
awaitable<outcome<exit_code>> show_copies(session& s, server_group& group, const std::vector<md5_digest>& blocks,
                                          bool absent_fails) {
    auto& out = s.out();
    if (auto ready = co_await group.connect(deadline::in(limits::keepctl_request_timeout)); !ready)
        co_return refuse(exit_code::unreachable, ready.error());
    std::size_t absent = 0;
    for (const auto& block : blocks) {
        const auto copies = co_await copies_of(group, block);
        if (!copies) co_return refuse(exit_code::not_finished, copies.error());
        for (const auto& e : *copies) show_copy(out, group, e, "found");
        absent += copies->empty() ? 1 : 0;
    }
    out.flush();
    if (absent > 0) out.note(count_of(absent, "block") + (absent_fails ? " not found" : " to be asked for"));
    co_return out.end(absent_fails && absent > 0 ? exit_code::some_failed : exit_code::done);
}

/// A request for each block to all servers. `word` names success.
struct admin_change {
    std::string method;
    std::string path;
    std::string word;
    bool brings_back = false;  ///< Blocks that have no copy yet: it is verified afterwards.
};

outcome<exit_code> run_for_all(session& s, admin_change change) {
    KS_TRY(auto servers, s.servers());
    KS_TRY(const auto blocks, blocks_of(s.given()));
    if (s.given().dry_run) {
        server_group group("cluster", std::move(servers), {}, s.context().loops);
        return s.run(show_copies(s, group, blocks, !change.brings_back));
    }
    admin_request request(servers, std::move(change.method), std::move(change.path));
    if (change.brings_back) request.verify_afterwards();
    return s.run(ask_all(s, servers, blocks, request, std::move(change.word)));
}

/// Asks whether to trash this many blocks.
awaitable<result<bool>> confirmed(output& out, std::size_t count) {
    out.flush();
    if (::isatty(STDIN_FILENO) != 1) {
        out.error("to trash blocks without a terminal, give --yes", exit_code::refused);
        co_return false;
    }
    out.ask(fmt::format("move {} to the trash of all servers? [y/N]", count_of(count, "block")));
    const auto line = co_await read_line(STDIN_FILENO);
    if (!line && line.error() == errc::cancelled) co_return std::unexpected(line.error());
    co_return line && (*line == "y" || *line == "yes");
}

/// Shows what would be trashed, asks, trashes, and looks at what is left.
awaitable<outcome<exit_code>> trash(session& s, server_group& group, const std::vector<md5_digest>& blocks) {
    auto& out = s.out();
    if (auto ready = co_await group.connect(deadline::in(limits::keepctl_request_timeout)); !ready)
        co_return refuse(exit_code::unreachable, ready.error());
    std::size_t failed = 0;
    std::size_t kept = 0;
    std::size_t absent = 0;
    std::vector<md5_digest> found;
    for (const auto& block : blocks) {
        auto copies = co_await copies_of(group, block);
        if (!copies) co_return refuse(exit_code::unreachable, copies.error());
        for (const auto& e : *copies) show_copy(out, group, e, "found");
        copies->empty() ? ++absent : (found.push_back(block), 0);
    }
    if (s.given().dry_run || found.empty()) co_return out.end(absent > 0 ? exit_code::some_failed : exit_code::done);
    if (!s.given().yes) {
        const auto yes = co_await confirmed(out, found.size());
        if (!yes) co_return exit_code::interrupted;
        if (!*yes) co_return refuse(exit_code::refused, "nothing was trashed");
    }
    const admin_request request(group.servers(), "DELETE", "");
    for (const auto& block : found) {
        const auto replies = co_await request.ask({&block, 1});
        if (!replies) co_return exit_code::interrupted;
        for (const auto& a : *replies) {
            if (a.kind != reply_kind::failed) continue;
            out.error(a.why);
            ++failed;
        }
        auto left = co_await copies_of(group, block);
        if (!left) co_return refuse(exit_code::not_finished, left.error());
        for (const auto& e : *left) {
            const bool may = group.mounts()[e.mount].allow_trash;
            show_copy(out, group, e, may ? "kept: too new" : "kept: may not be trashed");
        }
        if (!left->empty()) ++kept;
    }
    out.flush();
    out.note(fmt::format("{} trashed, {} kept, {} not found", count_of(found.size() - kept, "block"), kept, absent));
    co_return out.end(failed + kept + absent > 0 ? exit_code::some_failed : exit_code::done);
}

}  // namespace

outcome<exit_code> run_touch(session& s) {
    return run_for_all(s, {.method = "TOUCH", .path = "", .word = "touched"});
}

outcome<exit_code> run_untrash(session& s) {
    return run_for_all(s, {.method = "PUT", .path = "untrash/", .word = "back", .brings_back = true});
}

outcome<exit_code> run_trash(session& s) {
    KS_TRY(auto servers, s.servers());
    KS_TRY(const auto blocks, blocks_of(s.given()));
    const bool keeps = s.config() && s.config()->cluster.collections.blob_trash_lifetime.count() > 0;
    if (!keeps && !s.given().allow_permanent_delete && !s.given().dry_run) {
        return refuse(exit_code::refused, s.config()
                                              ? "BlobTrashLifetime is 0: what is trashed is gone for ever; "
                                                "--allow-permanent-delete if that is meant"
                                              : "without the servers' configuration it is not known whether they "
                                                "keep a trash; give --config, or --allow-permanent-delete");
    }
    server_group group("cluster", std::move(servers), {}, s.context().loops);
    return s.run(trash(s, group, blocks));
}

}  // namespace keepstore::keepctl
