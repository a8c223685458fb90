#include "keepctl/snapshot/documents.hpp"

#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/utc_text.hpp"
#include "cloud/time.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/snapshot/limits.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <optional>
#include <utility>

namespace keepstore::keepctl {
namespace {

using json = nlohmann::ordered_json;

constexpr std::string_view repository_format = "keepctl-repository-1";
constexpr std::string_view snapshot_format = "keepctl-snapshot-1";
constexpr std::string_view latest_format = "keepctl-latest-1";
constexpr std::size_t sha256_digits = 64;

/// Reads the fields of one object. After the first field that is missing or wrong `problem` says which.
class fields {
  public:
    explicit fields(const json& object) : object_(object) {
        if (!object.is_object()) problem_ = "it is no JSON object";
    }

    std::string text(const char* name) {
        const auto* const value = find(name);
        if (value && value->is_string()) return value->get<std::string>();
        return wrong(name), std::string();
    }
    std::uint64_t number(const char* name, std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
        const auto* const value = find(name);
        if (value && value->is_number_unsigned() && value->get<std::uint64_t>() <= most)
            return value->get<std::uint64_t>();
        return wrong(name), 0;
    }
    std::chrono::sys_seconds time(const char* name) {
        const auto at = cloud::parse_iso_date(text(name));
        if (!at) wrong(name);
        return at.value_or(std::chrono::sys_seconds());
    }
    std::string digest(const char* name) {
        auto out = text(name);
        if (out.size() != sha256_digits || !is_lower_hex(out)) wrong(name);
        return out;
    }
    snapshot_id id(const char* name) {
        if (auto out = snapshot_id::parse(text(name))) return std::move(*out);
        wrong(name);
        return snapshot_id::make({}, "0000000000000000");
    }
    const json& list(const char* name, std::size_t items_max) {
        static const json none = json::array();
        const auto* const value = find(name);
        if (value && value->is_array() && value->size() <= items_max) return *value;
        return wrong(name), none;
    }
    /// The fields that are none of these, as text.
    std::string others(std::initializer_list<std::string_view> known) const {
        json out = json::object();
        if (problem_.empty()) {
            for (const auto& [name, value] : object_.items()) {
                if (std::ranges::find(known, name) == known.end()) out[name] = value;
            }
        }
        return out.empty() ? std::string() : json_to_text(out);
    }
    void require(bool holds, const char* name) {
        if (!holds) wrong(name);
    }
    void merge(const fields& part) {
        if (problem_.empty()) problem_ = part.problem_;
    }
    [[nodiscard]] const std::string& problem() const { return problem_; }

  private:
    const json* find(const char* name) const {
        if (!problem_.empty()) return nullptr;
        const auto found = object_.find(name);
        return found == object_.end() ? nullptr : &*found;
    }
    void wrong(const char* name) {
        if (problem_.empty()) problem_ = fmt::format("its field \"{}\" is missing or wrong", name);
    }

    const json& object_;
    std::string problem_;
};

/// The document, if it is one of this format.
result<json> parse(std::string_view text, std::string_view format) {
    auto parsed = parse_ordered_json(text);
    if (!parsed.is_object() || !text.ends_with('\n')) return fail(errc::checksum_mismatch, "it is no JSON, or cut");
    if (const auto found = json_text(parsed, "format"); found != format)
        return fail(errc::unsupported, fmt::format("its format is \"{}\", and this keepctl knows \"{}\" only",
                                                   found.substr(0, format.size() + 8), format));
    return parsed;
}

void add_unknown(json& out, const std::string& unknown) {
    if (unknown.empty()) return;
    const auto parsed = parse_ordered_json(unknown);
    for (const auto& [name, value] : parsed.items()) out[name] = value;
}

std::string line_of(const json& document) {
    // What servers said may be no UTF-8.
    return json_to_text(document) + '\n';
}

std::unexpected<error> damaged(const fields& from) {
    return fail(errc::checksum_mismatch, from.problem());
}

}  // namespace

const listed_snapshot* latest_document::find(const snapshot_id& id) const {
    const auto found = std::ranges::find(snapshots, id, &listed_snapshot::id);
    return found == snapshots.end() ? nullptr : &*found;
}

bool latest_document::has_removed(const snapshot_id& id) const {
    return std::ranges::find(removed, id, &removed_snapshot::id) != removed.end();
}

snapshot_mount to_snapshot_mount(const mount_info& mount) {
    snapshot_mount out{.uuid = mount.uuid,
                       .device_id = mount.device_id,
                       .server = mount.server,
                       .replication = mount.replication,
                       .classes = {}};
    for (const auto& [name, offered] : mount.classes) {
        if (offered) out.classes.push_back(name);
    }
    return out;
}

std::string encode(const repository_document& d) {
    return line_of({{"format", repository_format},
                    {"repository", d.repository},
                    {"cluster", d.cluster},
                    {"created_at", utc_text(d.created_at)}});
}

std::string encode(const snapshot_document& d) {
    json out;
    out["format"] = snapshot_format;
    out["id"] = d.id.text();
    out["repository"] = d.repository;
    out["cluster"] = d.cluster;
    out["scope"] = d.scope;
    out["started_at"] = utc_text(d.started_at);
    out["completed_at"] = utc_text(d.completed_at);
    out["digits"] = d.digits;
    out["mounts"] = json::array();
    for (const auto& m : d.mounts) {
        out["mounts"].push_back({{"uuid", m.uuid},
                                 {"device_id", m.device_id},
                                 {"server", m.server},
                                 {"replication", m.replication},
                                 {"classes", m.classes}});
    }
    out["objects"] = json::array();
    for (const auto& o : d.objects) {
        out["objects"].push_back({{"name", o.name}, {"bytes", o.bytes}, {"sha256", o.sha256}, {"records", o.records}});
    }
    out["blocks"] = d.totals.blocks;
    out["replicas"] = d.totals.replicas;
    out["bytes"] = d.totals.bytes;
    out["stored_bytes"] = d.totals.stored_bytes;
    out["tool"] = d.tool;
    return line_of(out);
}

std::string encode(const latest_document& d) {
    json out;
    out["format"] = latest_format;
    out["repository"] = d.repository;
    out["sequence"] = d.sequence;
    out["writer"] = d.writer;
    out["written_at"] = utc_text(d.written_at);
    out["snapshots"] = json::array();
    for (const auto& s : d.snapshots) {
        json item{{"id", s.id.text()},
                  {"sequence", s.sequence},
                  {"listed_at", utc_text(s.listed_at)},
                  {"metadata_sha256", s.metadata_sha256},
                  {"blocks", s.blocks},
                  {"replicas", s.replicas},
                  {"bytes", s.bytes}};
        add_unknown(item, s.unknown);
        out["snapshots"].push_back(std::move(item));
    }
    out["removed"] = json::array();
    for (const auto& r : d.removed) {
        json item{{"id", r.id.text()}, {"removed_at", utc_text(r.removed_at)}};
        add_unknown(item, r.unknown);
        out["removed"].push_back(std::move(item));
    }
    add_unknown(out, d.unknown);
    return line_of(out);
}

result<repository_document> decode_repository(std::string_view text) {
    KS_TRY(const auto parsed, parse(text, repository_format));
    fields f(parsed);
    repository_document out{
        .repository = f.text("repository"), .cluster = f.text("cluster"), .created_at = f.time("created_at")};
    f.require(!out.repository.empty(), "repository");
    if (!f.problem().empty()) return damaged(f);
    return out;
}

result<snapshot_document> decode_snapshot(std::string_view text) {
    KS_TRY(const auto parsed, parse(text, snapshot_format));
    fields f(parsed);
    snapshot_document out{.id = f.id("id"),
                          .repository = f.text("repository"),
                          .cluster = f.text("cluster"),
                          .scope = f.text("scope"),
                          .started_at = f.time("started_at"),
                          .completed_at = f.time("completed_at"),
                          .digits = static_cast<unsigned>(f.number("digits", limits::shard_digits_max)),
                          .mounts = {},
                          .objects = {},
                          .totals = {.blocks = f.number("blocks"),
                                     .replicas = f.number("replicas"),
                                     .bytes = f.number("bytes"),
                                     .stored_bytes = f.number("stored_bytes")},
                          .tool = f.text("tool")};
    for (const auto& item : f.list("mounts", std::numeric_limits<std::uint16_t>::max())) {
        fields m(item);
        snapshot_mount mount{
            .uuid = m.text("uuid"),
            .device_id = m.text("device_id"),
            .server = m.text("server"),
            .replication = static_cast<std::int64_t>(m.number("replication", std::numeric_limits<std::int64_t>::max())),
            .classes = {}};
        for (const auto& name : m.list("classes", limits::snapshot_classes_max)) {
            m.require(name.is_string(), "classes");
            if (name.is_string()) mount.classes.push_back(name.get<std::string>());
        }
        f.merge(m);
        out.mounts.push_back(std::move(mount));
    }
    std::uint64_t records = 0;
    for (const auto& item : f.list("objects", shard_count(limits::shard_digits_max))) {
        fields o(item);
        snapshot_object object{.name = o.text("name"),
                               .bytes = o.number("bytes", limits::inventory_bytes_max),
                               .sha256 = o.digest("sha256"),
                               .records = o.number("records", limits::inventory_bytes_max)};
        o.require(object.name == inventory_name(shard_prefix(out.digits, out.objects.size())), "name");
        f.merge(o);
        records += object.records;
        out.objects.push_back(std::move(object));
    }
    f.require(out.objects.size() == shard_count(out.digits), "objects");
    f.require(records == out.totals.replicas, "replicas");
    if (!f.problem().empty()) return damaged(f);
    return out;
}

result<latest_document> decode_latest(std::string_view text) {
    KS_TRY(const auto parsed, parse(text, latest_format));
    fields f(parsed);
    latest_document out{
        .repository = f.text("repository"),
        .sequence = f.number("sequence"),
        .writer = f.text("writer"),
        .written_at = f.time("written_at"),
        .snapshots = {},
        .removed = {},
        .unknown = f.others({"format", "repository", "sequence", "writer", "written_at", "snapshots", "removed"})};
    std::uint64_t above = out.sequence;
    for (const auto& item : f.list("snapshots", limits::snapshots_max)) {
        fields s(item);
        listed_snapshot one{
            .id = s.id("id"),
            .sequence = s.number("sequence"),
            .listed_at = s.time("listed_at"),
            .metadata_sha256 = s.digest("metadata_sha256"),
            .blocks = s.number("blocks"),
            .replicas = s.number("replicas"),
            .bytes = s.number("bytes"),
            .unknown = s.others({"id", "sequence", "listed_at", "metadata_sha256", "blocks", "replicas", "bytes"})};
        // The newest first, each once.
        s.require(one.sequence >= 1 && one.sequence <= above && !out.find(one.id), "sequence");
        above = one.sequence == 0 ? 0 : one.sequence - 1;
        f.merge(s);
        out.snapshots.push_back(std::move(one));
    }
    for (const auto& item : f.list("removed", limits::removed_max)) {
        fields r(item);
        removed_snapshot one{
            .id = r.id("id"), .removed_at = r.time("removed_at"), .unknown = r.others({"id", "removed_at"})};
        r.require(!out.has_removed(one.id) && !out.find(one.id), "id");
        f.merge(r);
        out.removed.push_back(std::move(one));
    }
    if (!f.problem().empty()) return damaged(f);
    return out;
}

}  // namespace keepstore::keepctl
