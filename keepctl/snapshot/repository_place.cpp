#include "keepctl/snapshot/repository_place.hpp"

#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

constexpr std::string_view forms =
    "a repository is file:///absolute/directory or s3://bucket/prefix?endpoint=URL&region=R, and path-style=1, "
    "profile=P, ca-file=F as needed";

std::unexpected<std::string> wrong(std::string_view what) {
    return std::unexpected(fmt::format("{}; {}", what, forms));
}

std::expected<repository_place, std::string> parse_directory(std::string_view text, std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    if (!path.starts_with('/') || path.size() < 2) return wrong(fmt::format("\"{}\": not an absolute path", text));
    return repository_place{.text = std::string(text), .where = repository_place::directory{std::string(path)}};
}

bool is_prefix_character(char c) {
    return is_alphanumeric(c) || std::string_view("/-_.").contains(c);
}

std::expected<repository_place, std::string> parse_bucket(std::string_view text, std::string_view rest) {
    if (rest.contains('@')) return wrong("user info in a URL; keys come from the chain of docs/s3.md");
    const auto query_at = std::min(rest.find('?'), rest.size());
    const auto query = rest.substr(query_at);
    const auto path = rest.substr(0, query_at);
    const auto slash = std::min(path.find('/'), path.size());
    auto prefix = path.substr(slash);
    while (prefix.starts_with('/')) prefix.remove_prefix(1);
    while (prefix.ends_with('/')) prefix.remove_suffix(1);
    if (!std::ranges::all_of(prefix, is_prefix_character) || prefix.contains("//") || prefix.contains(".."))
        return wrong(fmt::format("prefix \"{}\": takes letters, digits, - _ . and single slashes", prefix));
    if (query.contains("prefix-length=")) return wrong("prefix-length is for blocks");
    KS_TRY(auto place, parse_place(fmt::format("s3://{}{}", path.substr(0, slash), query)));
    return repository_place{
        .text = std::string(text),
        .where = repository_place::bucket{.where = std::get<bucket_place>(std::move(place.where)),
                                          .prefix = prefix.empty() ? std::string() : std::string(prefix) + '/'}};
}

}  // namespace

std::expected<repository_place, std::string> parse_repository_place(std::string_view text) {
    for (const std::string_view scheme : {"file://", "s3://"}) {
        if (!text.starts_with(scheme)) continue;
        const auto rest = text.substr(scheme.size());
        return scheme == "file://" ? parse_directory(text, rest) : parse_bucket(text, rest);
    }
    return wrong("a repository of another kind");
}

}  // namespace keepstore::keepctl
