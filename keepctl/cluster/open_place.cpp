#include "keepctl/cluster/open_place.hpp"

#include "keepctl/cluster/opened_volume.hpp"
#include "keepctl/cluster/server_group.hpp"
#include "volumes/directory/directory_volume.hpp"
#include "volumes/factory.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

using opened_place = std::expected<std::unique_ptr<block_place>, std::string>;

struct place_opener {
    const place& what;
    const place_context& context;
    const place_use& use;

    opened_place operator()(const server_place& p) const {
        std::vector<keep_server> one;
        one.emplace_back(context.client, p.server, identity_of(net::to_string(p.server.to) + "/"), context.access,
                         context.loops);
        return std::make_unique<server_group>(
            what.text, std::move(one),
            server_group::options{.mount_uuid = p.mount_uuid, .classes = use.classes, .copies = 1}, context.loops);
    }

    opened_place operator()(const cluster_place&) const {
        KS_TRY(auto servers, servers_of(context));
        return std::make_unique<server_group>(
            what.text, std::move(servers),
            server_group::options{
                .mount_uuid = {}, .classes = use.classes, .copies = use.copies, .by_class = !use.classes.empty()},
            context.loops);
    }

    opened_place operator()(const volume_place& p) const {
        if (!context.config) return std::unexpected(what.text + ": needs a configuration; give one with --config");
        KS_TRY(auto plan, volumes::plan_volume(context.config->cluster, p.uuid, use.writes));
        KS_TRY(auto opened, plan.open());
        return make(std::move(opened), p.uuid);
    }

    opened_place operator()(const directory_place& p) const {
        auto opened = volumes::open_directory_volume({.root = p.path, .may_write = use.writes});
        if (!opened) {
            return std::unexpected(
                opened.error() == errc::not_found
                    ? fmt::format("{}: there is no such directory; keepctl does not make it", what.text)
                    : fmt::format("{}: {}", what.text, opened.error().text));
        }
        return make(std::move(*opened), what.text);
    }

    opened_place operator()(const bucket_place& p) const {
        const cluster_config::collections_config defaults;
        const auto& policy = context.config ? context.config->cluster.collections : defaults;
        auto options = bucket_options(p, policy, use.writes);
        auto opened = volumes::open_s3_volume(std::move(options));
        if (!opened) return std::unexpected(fmt::format("{}: {}", what.text, opened.error().text));
        return make(std::move(*opened), what.text);
    }

    opened_place make(std::unique_ptr<volumes::volume> volume, std::string uuid) const {
        mount_info m{
            .uuid = std::move(uuid), .device_id = volume->device_id(), .server = {}, .allow_write = use.writes};
        return make_opened_volume(what.text, std::move(m), std::move(volume));
    }
};

}  // namespace

std::expected<std::vector<keep_server>, std::string> servers_of(const place_context& context) {
    if (context.servers.empty())
        return std::unexpected(
            "no servers: give --server URL, or a configuration with Services.Keepstore.InternalURLs");
    std::vector<keep_server> out;
    for (const auto& [url, identity] : context.servers) {
        auto server = protocol::parse_block_server(url);
        if (!server) return std::unexpected(fmt::format("a server's URL: {}", server.error().text));
        out.emplace_back(context.client, std::move(*server), identity, context.access, context.loops);
    }
    return out;
}

volumes::s3_options bucket_options(const bucket_place& p, const cluster_config::collections_config& policy,
                                   bool writes) {
    volumes::s3_options options;
    options.endpoint = p.endpoint;
    options.region = p.region;
    options.bucket = p.bucket;
    options.use_path_style = p.path_style;
    options.prefix_length = p.prefix_length;
    options.ca_file = p.ca_file;
    options.protect_for = policy.blob_signing_ttl;
    options.trash_lifetime = policy.blob_trash_lifetime;
    options.writable = writes;
    if (!p.profile.empty()) {
        // A profile that is named is used: keys in the environment are those of another account.
        options.env = [profile = p.profile, rest = options.env](std::string_view name) -> std::optional<std::string> {
            if (name == "AWS_PROFILE") return profile;
            for (const std::string_view other : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                                                 "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"}) {
                if (name == other) return std::nullopt;
            }
            return rest(name);
        };
    }
    return options;
}

opened_place open_place(const place& what, const place_context& context, const place_use& use) {
    return std::visit(place_opener{what, context, use}, what.where);
}

std::string same_storage(const place& a, const block_place& opened_a, const place& b, const block_place& opened_b) {
    const auto* const left = std::get_if<directory_place>(&a.where);
    const auto* const right = std::get_if<directory_place>(&b.where);
    if (left && right) {
        struct stat s{};
        struct stat t{};
        if (::stat(left->path.c_str(), &s) == 0 && ::stat(right->path.c_str(), &t) == 0 && s.st_dev == t.st_dev &&
            s.st_ino == t.st_ino)
            return fmt::format("{} and {} are the same directory", a.text, b.text);
        return {};
    }
    for (const auto& m : opened_a.mounts()) {
        if (m.device_id.empty()) continue;
        const bool there =
            std::ranges::find(opened_b.mounts(), m.device_id, &mount_info::device_id) != opened_b.mounts().end();
        // A source that is a part of the destination is fine: what it has is present there.
        if (there && opened_a.mounts().size() == 1 && opened_b.mounts().size() == 1)
            return fmt::format("{} and {} are the same storage ({})", a.text, b.text, m.device_id);
    }
    return {};
}

}  // namespace keepstore::keepctl
