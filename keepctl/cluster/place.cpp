#include "keepctl/cluster/place.hpp"

#include "base/text.hpp"
#include "net/http/url.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <set>
#include <utility>

namespace keepstore::keepctl {
namespace {

constexpr std::string_view keep_form = "keep:http[s]://host:port, with #UUID for one mount";
constexpr std::string_view bucket_form =
    "s3://bucket?endpoint=URL&region=R, and prefix-length=N, path-style=1, profile=P, ca-file=F as needed";
constexpr std::string_view all_forms =
    "a place is keep:http://host:port, cluster, volume:UUID, dir:/absolute/path or s3://bucket?endpoint=URL";

using parsed = std::expected<place, std::string>;

std::unexpected<std::string> wrong(std::string_view what, std::string_view form) {
    return std::unexpected(fmt::format("{}; expected {}", what, form));
}

parsed parse_keep(std::string_view text, std::string_view url) {
    std::string mount;
    if (const auto hash = url.find('#'); hash != std::string_view::npos) {
        mount = url.substr(hash + 1);
        url = url.substr(0, hash);
        if (mount.empty()) return wrong("the mount's UUID is missing after #", keep_form);
    }
    auto server = protocol::parse_block_server(url);
    if (!server) return wrong("keep: " + server.error().text, keep_form);
    return place{.text = std::string(text), .where = server_place{std::move(*server), std::move(mount)}};
}

/// Sets one key of the query. \returns what is wrong with it; empty if nothing is.
std::string set_key(bucket_place& to, std::string_view key, std::string value) {
    const auto missing = [&] { return value.empty() ? fmt::format("s3: {} has no value", key) : std::string(); };
    if (key == "endpoint") {
        const auto url = net::parse_url(value);
        if (!url) return "s3: endpoint: " + url.error().text;
        to.endpoint = std::move(value);
        return {};
    }
    if (key == "path-style") {
        if (value != "0" && value != "1") return "s3: path-style is 0 or 1";
        to.path_style = value == "1";
        return {};
    }
    if (key == "prefix-length") {
        const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), to.prefix_length);
        if (failed != std::errc() || end != value.data() + value.size() || to.prefix_length > 32)
            return "s3: prefix-length is a number from 0 to 32";
        return {};
    }
    for (const auto& [name, member] : {std::pair{"region", &bucket_place::region},
                                       {"profile", &bucket_place::profile},
                                       {"ca-file", &bucket_place::ca_file}}) {
        if (key != name) continue;
        if (auto problem = missing(); !problem.empty()) return problem;
        to.*member = std::move(value);
        return {};
    }
    if (key.find("key") != std::string_view::npos || key.find("secret") != std::string_view::npos)
        return "s3: keys are not given on the command line, where other users see them; use profile= or the "
               "environment";
    return fmt::format("s3: unknown key \"{}\"", key);
}

parsed parse_bucket(std::string_view text, std::string_view rest) {
    bucket_place out;
    std::string_view query;
    if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
        query = rest.substr(mark + 1);
        rest = rest.substr(0, mark);
    }
    if (rest.find('@') != std::string_view::npos) return wrong("s3: user info is not allowed in a place", bucket_form);
    if (rest.ends_with('/')) rest.remove_suffix(1);
    if (rest.empty()) return wrong("s3: the bucket's name is missing", bucket_form);
    if (rest.find('/') != std::string_view::npos)
        return wrong("s3: a bucket has no path: keepstores use whole buckets", bucket_form);
    out.bucket = rest;
    std::set<std::string_view> seen;
    while (!query.empty()) {
        const auto pair = take_part(query, '&');
        const auto equals = pair.find('=');
        if (equals == std::string_view::npos)
            return wrong(fmt::format("s3: \"{}\" is no key=value", pair), bucket_form);
        const auto key = pair.substr(0, equals);
        if (!seen.insert(key).second) return wrong(fmt::format("s3: {} is given twice", key), bucket_form);
        auto value = percent_decode(pair.substr(equals + 1));
        if (!value) return wrong(fmt::format("s3: {} has a malformed percent escape", key), bucket_form);
        if (auto problem = set_key(out, key, std::move(*value)); !problem.empty()) return wrong(problem, bucket_form);
    }
    if (out.endpoint.empty() && out.region.empty())
        return wrong("s3: endpoint and region are missing; at least one of them is needed", bucket_form);
    if (out.region.empty()) out.region = "us-east-1";
    return place{.text = std::string(text), .where = std::move(out)};
}

}  // namespace

parsed parse_place(std::string_view text) {
    const auto after = [&](std::string_view scheme) -> std::optional<std::string_view> {
        if (!text.starts_with(scheme)) return std::nullopt;
        return text.substr(scheme.size());
    };
    if (text == "cluster") return place{.text = "cluster", .where = cluster_place{}};
    if (const auto url = after("keep:")) return parse_keep(text, *url);
    if (const auto rest = after("s3://")) return parse_bucket(text, *rest);
    if (const auto uuid = after("volume:")) {
        if (uuid->empty()) return wrong("volume: the UUID is missing", "volume:UUID, a volume of the configuration");
        return place{.text = std::string(text), .where = volume_place{std::string(*uuid)}};
    }
    if (const auto path = after("dir:")) {
        if (!path->starts_with('/'))
            return wrong(fmt::format("dir: \"{}\" is no absolute path", *path), "dir:/absolute/path");
        return place{.text = std::string(text), .where = directory_place{std::string(*path)}};
    }
    if (after("http://") || after("https://"))
        return std::unexpected(std::string("a server is written keep:http[s]://host:port"));
    if (after("/")) return std::unexpected(fmt::format("a directory is written dir:{}", text));
    const auto colon = text.find(':');
    // What precedes the first colon is no secret; the rest may be.
    return std::unexpected(fmt::format("unknown kind of place \"{}\"; {}",
                                       text.substr(0, colon == std::string_view::npos ? text.size() : colon),
                                       all_forms));
}

}  // namespace keepstore::keepctl
