#include "keepctl/commands/balance_input.hpp"

#include "digest/md5.hpp"
#include "keepctl/cluster/local_file.hpp"
#include "keepctl/commands/run_frame.hpp"
#include "keepctl/commands/snapshot_references.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

std::string without_slash(std::string url) {
    while (url.ends_with('/')) url.pop_back();
    return url;
}

std::unexpected<refusal> usage(std::string text) {
    return refuse(exit_code::usage, std::move(text));
}

std::uint32_t seconds_of(sys_seconds at) {
    return static_cast<std::uint32_t>(std::max<std::int64_t>(0, at.time_since_epoch().count()));
}

}  // namespace

std::string balance_input::identity_for(std::size_t number, const std::string& url, const std::string& known) const {
    constexpr std::size_t api_digits = 16;
    constexpr std::size_t rendezvous_characters = 15;
    const auto& how = given_.balance.identity;
    if (how == "position") return fmt::format("00000-bi6l4-{:015}", number);
    if (how != "api" || !session_.config()) return known;
    // The API server makes uuids of 28 characters, all of which enter (docs/interface.md 3.4).
    const auto& cluster = session_.config()->cluster;
    std::string own;
    for (const auto& [where, instance] : cluster.internal_urls) {
        if (without_slash(where.to_string()) == url) own = instance.rendezvous;
    }
    if (own.size() == rendezvous_characters) return fmt::format("{}-bi6l4-{}", cluster.id, own);
    const std::string text = own.empty() ? url + "/" : own;
    return fmt::format("{}-bi6l4-{}", cluster.id,
                       digest::md5_of(std::as_bytes(std::span(text))).hex().substr(0, api_digits));
}

outcome<void> balance_input::choose_servers() {
    auto context = session_.context();
    for (std::size_t i = 0; i < context.servers.size(); ++i) {
        auto& [url, identity] = context.servers[i];
        const auto by_rule = input_.policy.identities.find(without_slash(url));
        identity =
            by_rule != input_.policy.identities.end() ? by_rule->second : identity_for(i, without_slash(url), identity);
    }
    auto found = servers_of(context);
    if (!found) return usage(std::move(found.error()));
    input_.servers = std::move(*found);
    input_.loops = &context.loops;
    for (const auto& [url, uuid] : input_.policy.identities) {
        if (std::ranges::find(input_.servers, url, &keep_server::url) == input_.servers.end())
            return usage(fmt::format("--rules: servers: {} is none of the servers", url));
    }
    if (!given_.servers.empty() || !session_.config()) return {};
    std::size_t number = 0;
    for (const auto& [where, instance] : session_.config()->cluster.internal_urls) {
        const auto& url = input_.servers.at(number++).url();
        for (const auto& [uuid, volume] : session_.config()->cluster.volumes) {
            if (volume.access_via_hosts.empty() || volume.access_via_hosts.contains(where))
                input_.configured_mounts.emplace_back(url, uuid);
        }
    }
    return {};
}

outcome<void> balance_input::read_rules() {
    balance::rules defaults;
    if (const auto& config = session_.config()) {
        const auto& c = config->cluster.collections;
        defaults.desired["default"] =
            static_cast<std::uint32_t>(std::clamp<std::int64_t>(c.default_replication, 1, limits::balance_copies_max));
        defaults.pull_per_server = std::min(c.balance_pull_limit, limits::balance_list_max);
        defaults.trash_per_server = std::min(c.balance_trash_limit, limits::balance_list_max);
        input_.trash = {.known = true, .signing_ttl = c.blob_signing_ttl, .trash_lifetime = c.blob_trash_lifetime};
        if (!c.blob_trash) session_.out().note("BlobTrash is off: servers take trash lists and trash nothing");
    } else {
        const cluster_config::collections_config usual;
        input_.trash = {.signing_ttl = usual.blob_signing_ttl};
    }
    if (given_.balance.rules_file.empty()) {
        input_.policy = std::move(defaults);
        return {};
    }
    const auto text = read_file(given_.balance.rules_file, limits::balance_rules_bytes_max);
    if (!text) return usage("--rules: " + text.error().text);
    auto parsed = balance::parse_rules(*text, std::move(defaults));
    if (!parsed) return usage(fmt::format("--rules: {}: {}", given_.balance.rules_file, parsed.error()));
    input_.policy = std::move(*parsed);
    return {};
}

outcome<void> balance_input::prepare() {
    KS_TRY(auto opened, balance::state::open(state_folder_of(given_)));
    state_.emplace(std::move(opened));
    KS_CHECK(read_rules());
    KS_CHECK(choose_servers());
    const auto& b = given_.balance;
    input_.allowed = {.changed = {b.allow_changed.begin(), b.allow_changed.end()},
                      .fewer_references = b.allow_fewer_references,
                      .permanent_delete = given_.allow_permanent_delete,
                      .trash_percent = b.trash_percent};
    for (const auto& text : b.allow_missing) input_.allowed.missing.insert(without_slash(text));
    input_.folder = &*state_;
    return {};
}

std::string balance_input::lost_file() const {
    if (!given_.balance.lost_file.empty()) return given_.balance.lost_file;
    // A plan changes nothing, and leaves the file of the last run that did alone.
    const bool acts = given_.balance.apply != balance::apply_level::nothing;
    return acts && session_.config() ? session_.config()->cluster.collections.blob_missing_report : std::string();
}

awaitable<outcome<void>> balance_input::refresh() {
    input_.names = {};
    input_.references = {};
    input_.spool = nullptr;
    std::string note;
    input_.last = state_->load(note);
    if (!note.empty()) session_.out().note(note);
    if (given_.balance.reference_files.empty() && !given_.balance.keep_snapshots) co_return outcome<void>();
    co_return co_await read_references();
}

outcome<void> balance_input::read_reference_files(sys_seconds now) {
    for (const auto& path : given_.balance.reference_files) {
        struct stat about{};
        if (path != "-" && ::stat(path.c_str(), &about) == 0) {
            const std::chrono::nanoseconds age = now - sys_seconds(seconds(about.st_mtime));
            input_.references.age = std::max(input_.references.age, age);
        }
        auto count = balance::read_references(path, input_.names, seconds_of(now), *spool_);
        if (!count) return usage("--references: " + count.error().text);
        input_.references.count += *count;
    }
    return {};
}

outcome<void> balance_input::add_earlier_references(sys_seconds now) {
    const auto oldest = seconds_of(now - std::chrono::floor<seconds>(input_.trash.signing_ttl));
    const auto earlier = state_->load_references(input_.names, oldest, *spool_);
    if (!earlier && earlier.error() != errc::not_found) {
        return refuse(exit_code::refused,
                      fmt::format("{}: {}; without it blocks of recent references would be trashed. "
                                  "Remove it to go on without them",
                                  state_->folder(), earlier.error().text));
    }
    if (auto saved = state_->save_references(input_.names, *spool_); !saved)
        return usage("--state-dir: " + saved.error().text);
    return {};
}

awaitable<outcome<void>> balance_input::read_references() {
    const auto now = std::chrono::floor<seconds>(std::chrono::system_clock::now());
    spool_.emplace(state_->folder(), given_.memory / 2);
    input_.references = {.used = true};
    KS_CO_CHECK(read_reference_files(now));
    if (given_.balance.keep_snapshots) {
        KS_CO_TRY(const auto found, co_await read_snapshot_references(session_, seconds_of(now), *spool_));
        input_.references.count += found.count;
        // In addition to files snapshots only keep more. Without files all that they lack is garbage.
        if (given_.balance.reference_files.empty()) {
            if (!found.cluster_at)
                co_return refuse(exit_code::refused,
                                 "--keep-snapshots: no such snapshot is of the whole cluster, so "
                                 "that what it lacks would be garbage; give --references, too");
            input_.references.age = std::max<std::chrono::nanoseconds>(now - *found.cluster_at, seconds(0));
        }
    }
    KS_CO_CHECK(add_earlier_references(now));
    input_.spool = &*spool_;
    co_return outcome<void>();
}

}  // namespace keepstore::keepctl
