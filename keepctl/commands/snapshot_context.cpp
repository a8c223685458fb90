#include "keepctl/commands/snapshot_context.hpp"

#include "keepctl/clone/clone_bucket.hpp"
#include "keepctl/cluster/open_place.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/run_frame.hpp"
#include "keepctl/snapshot/check.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <functional>
#include <utility>

namespace keepstore::keepctl {
namespace {

using opened_store = outcome<std::unique_ptr<object_store>>;

opened_store open_bucket_store(session& s, const repository_place& place, const repository_place::bucket& what) {
    const auto client = make_bucket_client(bucket_options(what.where, {}, true));
    if (!client) return refuse(exit_code::usage, fmt::format("{}: {}", place.text, client.error().text));
    return make_bucket_store(*client, {.name = place.text,
                                       .prefix = what.prefix,
                                       .single_writer = s.given().snapshot.single_writer,
                                       .warn = [&s](std::string_view text) { s.out().warn(text); }});
}

}  // namespace

outcome<std::unique_ptr<object_store>> open_store(session& s, const repository_place& place) {
    const auto* const folder = std::get_if<repository_place::directory>(&place.where);
    if (!folder) return open_bucket_store(s, place, std::get<repository_place::bucket>(place.where));
    struct stat info{};
    if (::stat(folder->path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
        return refuse(exit_code::usage, place.text + ": there is no such directory; keepctl does not make it");
    return make_file_store(folder->path);
}

outcome<void> snapshot_context::check_cluster() const {
    const auto& config = run.config();
    const auto& ours = repo.identity().cluster;
    if (!config || ours.empty() || config->cluster.id == ours) return {};
    return refuse(exit_code::usage,
                  fmt::format("the repository is of cluster {}, the configuration of {}", ours, config->cluster.id));
}

outcome<const listed_snapshot*> snapshot_context::find(const latest_document& listed, const std::string& id) const {
    if (id == "latest") {
        if (listed.snapshots.empty()) return refuse(exit_code::some_failed, repo.store().name() + " has no snapshots");
        return &listed.snapshots.front();
    }
    const auto parsed = snapshot_id::parse(id);
    const auto* const found = parsed ? listed.find(*parsed) : nullptr;
    if (!found && parsed && listed.has_removed(*parsed))
        return refuse(exit_code::some_failed, fmt::format("snapshot {} was pruned", id));
    if (!found) return refuse(exit_code::some_failed, fmt::format("{} has no snapshot {}", repo.store().name(), id));
    return found;
}

awaitable<outcome<snapshot_document>> snapshot_context::whole(const std::string& id, bool read) {
    KS_CO_TRY(auto listed, co_await repo.latest());
    KS_CO_TRY(const auto which, find(listed, id));
    KS_CO_TRY(auto checked, co_await check_snapshot(repo, *which, read));
    if (!checked.damage) co_return co_await repo.metadata(*which);
    if (checked.pruned)
        co_return refuse(exit_code::some_failed, fmt::format("snapshot {} was pruned", which->id.text()));
    const auto other = co_await newest_whole(repo, listed, which->id, read);
    co_return refuse(exit_code::refused,
                     fmt::format("snapshot {} is damaged ({}); {}", which->id.text(), *checked.damage,
                                 other ? "the newest that is whole is " + other->text() : "no other one is whole"));
}

awaitable<outcome<std::unique_ptr<block_place>>> snapshot_context::connected(const place& what, place_use use) const {
    KS_CO_TRY(auto opened, run.open(what, use));
    if (auto ready = co_await opened->connect(deadline::in(limits::keepctl_request_timeout)); !ready)
        co_return refuse(ready.error() == errc::cancelled     ? exit_code::interrupted
                         : ready.error() == errc::bad_request ? exit_code::usage
                                                              : exit_code::unreachable,
                         fmt::format("{}: {}", what.text, ready.error().text));
    co_return std::move(opened);
}

namespace {

outcome<exit_code> open_and_run(session& s, std::function<awaitable<outcome<exit_code>>(snapshot_context&)> command,
                                bool opens, const std::function<exit_code(awaitable<outcome<exit_code>>)>& execute) {
    KS_TRY(const auto store, open_store(s, *s.given().snapshot.repository));
    repository repo(*store, [&s](std::string_view text) { s.out().warn(text); });
    snapshot_context context{.run = s, .repo = repo};
    const auto all = [&]() -> awaitable<outcome<exit_code>> {
        outcome<exit_code> end = exit_code::done;
        if (opens) {
            if (auto opened = co_await repo.open(); !opened) end = std::unexpected(std::move(opened.error()));
        }
        if (end) end = co_await command(context);
        const auto code = end ? *end : end.error().code;
        if (!end) s.out().error(end.error().text);
        co_return s.out().end(code, std::move(context.summary));
    };
    return execute(all());
}

}  // namespace

outcome<exit_code> run_on_repository(session& s, snapshot_command command, bool opens) {
    return open_and_run(s, command, opens, [&s](awaitable<outcome<exit_code>> all) { return s.run(std::move(all)); });
}

outcome<exit_code> run_on_repository(session& s,
                                     awaitable<outcome<exit_code>> (*command)(snapshot_context&, run_frame&)) {
    run_frame frame(s);
    return open_and_run(
        s, [&](snapshot_context& c) { return command(c, frame); }, true,
        [&](awaitable<outcome<exit_code>> all) { return frame.execute(std::move(all)); });
}

}  // namespace keepstore::keepctl
