#include "keepctl/commands/clone_job.hpp"

#include "keepctl/cluster/open_place.hpp"
#include "reports/probe_targets.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <fmt/format.h>

#include <span>
#include <utility>
#include <variant>

namespace keepstore::keepctl {
namespace {

std::unexpected<refusal> job_usage(std::string text) {
    return refuse(exit_code::usage, std::move(text));
}

volumes::s3_options job_bucket_options(const session& s, const bucket_place& bucket, bool writes) {
    const cluster_config::collections_config defaults;
    return bucket_options(bucket, s.config() ? s.config()->cluster.collections : defaults, writes);
}

using opened_side = outcome<std::unique_ptr<clone_bucket>>;

opened_side usable(const place& what, result<std::unique_ptr<clone_bucket>> opened) {
    if (!opened) return job_usage(fmt::format("{}: {}", what.text, opened.error().text));
    return std::move(*opened);
}

}  // namespace

opened_side open_side(const session& s, const place& what, bool writes) {
    if (const auto* const bucket = std::get_if<bucket_place>(&what.where))
        return usable(what, open_s3_bucket(what.text, job_bucket_options(s, *bucket, writes)));
    const auto* const volume = std::get_if<volume_place>(&what.where);
    if (!volume)
        return job_usage(what.text +
                         ": clone copies between buckets and containers, s3://bucket?endpoint=URL or volume:UUID; "
                         "replicate copies between all places");
    if (!s.config()) return job_usage(what.text + ": needs a configuration; give one with --config");
    if (auto container = reports::find_container(*s.config(), volume->uuid)) {
        if (!*container) return job_usage(what.text + ": " + container->error());
        return usable(what, open_azure_container(what.text, (*container)->options));
    }
    auto found = reports::choose_probe_targets(*s.config(), {}, std::span(&volume->uuid, 1));
    if (!found) return job_usage(what.text + ": " + found.error());
    return usable(what, open_s3_bucket(what.text, found->front().options));
}

outcome<std::unique_ptr<job_store>> open_job_store(const session& s, const std::string& text, bool may_make) {
    constexpr std::string_view scheme = "s3://";
    if (!text.starts_with(scheme)) {
        if (!may_make) return find_local_job_store(text);
        auto folder = make_local_job_store(text);
        if (!folder) return job_usage("job folder: " + folder.error().text);
        return std::move(*folder);
    }
    // s3://bucket/prefix?query is the place s3://bucket?query and the prefix.
    const auto query = std::min(text.find('?'), text.size());
    const auto slash = std::min(text.find('/', scheme.size()), query);
    std::string prefix = text.substr(slash, query - slash);
    while (prefix.ends_with('/')) prefix.pop_back();
    while (prefix.starts_with('/')) prefix.erase(0, 1);
    if (prefix.empty()) return job_usage("job: expected a folder, or s3://bucket/prefix?endpoint=URL&region=R");
    auto where = parse_place(text.substr(0, slash) + text.substr(query));
    if (!where) return job_usage("job: " + where.error());
    auto client = make_bucket_client(job_bucket_options(s, std::get<bucket_place>(where->where), true));
    if (!client) return job_usage(fmt::format("{}: {}", where->text, client.error().text));
    return make_bucket_job_store(text, std::move(*client), std::move(prefix));
}

awaitable<outcome<std::optional<clone_job>>> read_job(job_store& store, deadline until) {
    auto there = co_await store.read(std::string(job_file), until);
    if (!there) {
        co_return refuse(exit_code::unreachable, fmt::format("{}: {}", store.where(), there.error().text));
    }
    if (!*there) co_return std::nullopt;
    auto job = decode_job((*there)->text);
    if (!job)
        co_return job_usage(
            fmt::format("{}: {} is no job of this version of clone, or damaged", store.where(), job_file));
    co_return std::optional(std::move(*job));
}

}  // namespace keepstore::keepctl
