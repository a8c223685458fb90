#include "keepctl/balance/survey.hpp"

#include "keepctl/cluster/count_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace keepstore::keepctl::balance {
namespace {

using std::chrono::seconds;

/// That of mounts which name none.
constexpr const char* class_default = "default";

/// A mount and the server that has it.
struct found_mount {
    const mount_info* info;
    std::uint16_t server;
};

void stop(survey& out, std::string text, std::string option = {}) {
    out.problems.push_back({.stops = true, .text = std::move(text), .option = std::move(option)});
}

void add_servers(const std::vector<server_answer>& answers, const allowances& allowed, survey& out,
                 std::vector<found_mount>& found) {
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const auto& a = answers[i];
        if (!a.mounts) {
            if (!allowed.missing.contains(a.url)) {
                stop(out, fmt::format("a server does not respond: {}", a.mounts.error().text),
                     "--allow-missing " + a.url);
            }
            continue;
        }
        const auto twin = std::ranges::find(out.all.servers, a.identity, [](const server& s) { return s.identity; });
        if (twin != out.all.servers.end()) {
            stop(out, fmt::format("two servers have one identity, {}: {} and {}", a.identity, twin->url, a.url));
            continue;
        }
        for (const auto& m : *a.mounts) found.push_back({&m, static_cast<std::uint16_t>(out.all.servers.size())});
        out.all.servers.push_back({.url = a.url, .identity = a.identity});
        out.answer_of_server.push_back(i);
        if (!a.clock_ahead) {
            out.problems.push_back({.text = fmt::format("{} does not say what time it is", a.url)});
            continue;
        }
        out.clock_least = std::min(out.clock_least, *a.clock_ahead);
        out.clock_most = std::max(out.clock_most, *a.clock_ahead);
        if (std::chrono::abs(*a.clock_ahead) > limits::balance_clock_slack) {
            out.problems.push_back(
                {.text = fmt::format("the clock of {} differs from ours by {} s", a.url, a.clock_ahead->count())});
        }
    }
}

/// \returns whether there are not too many.
bool add_classes(const std::vector<found_mount>& found, const expectations& expected, survey& out) {
    std::set<std::string> names(expected.classes.begin(), expected.classes.end());
    for (const auto& m : found) {
        if (m.info->classes.empty()) names.insert(class_default);
        for (const auto& [name, offered] : m.info->classes) {
            if (offered) names.insert(name);
        }
    }
    if (names.size() > limits::balance_classes_max || found.size() > limits::balance_mounts_max) {
        stop(out, fmt::format("too many mounts ({}) or storage classes ({})", found.size(), names.size()));
        return false;
    }
    out.all.classes.assign(names.begin(), names.end());
    return true;
}

class_bits bits_of(const mount_info& info, const std::vector<std::string>& classes) {
    class_bits out = 0;
    for (std::size_t i = 0; i < classes.size(); ++i) {
        if (info.classes.empty() && classes[i] == class_default) out |= class_bits{1} << i;
        const auto offered = info.classes.find(classes[i]);
        if (offered != info.classes.end() && offered->second) out |= class_bits{1} << i;
    }
    return out;
}

void add_mounts(const std::vector<found_mount>& found, survey& out) {
    std::set<std::string> writable;
    for (const auto& m : found) {
        if (m.info->allow_write) writable.insert(m.info->uuid);
    }
    std::map<std::string, std::uint16_t> devices;
    for (const auto& m : found) {
        const auto& info = *m.info;
        if (!info.allow_write && writable.contains(info.uuid)) continue;
        const auto [device, first] = devices.emplace(info.uuid, static_cast<std::uint16_t>(out.all.devices.size()));
        // Mounts of one device that disagree count as the smaller one.
        std::int64_t replication = std::max<std::int64_t>(1, info.replication);
        if (first) {
            out.all.devices.push_back(info.uuid);
            out.device_ids.push_back(info.device_id);
            out.listed_by.push_back(m.server);
        } else {
            if (out.device_ids[device->second] != info.device_id) {
                stop(out, fmt::format("volume {} is device {} on one server and {} on another", info.uuid,
                                      out.device_ids[device->second], info.device_id));
            }
            for (auto& other : out.all.mounts) {
                if (other.device == device->second)
                    replication = other.replication = std::min(replication, other.replication);
            }
        }
        out.all.mounts.push_back({.server = m.server,
                                  .device = device->second,
                                  .replication = replication,
                                  .classes = bits_of(info, out.all.classes),
                                  .allow_write = info.allow_write,
                                  .allow_trash = info.allow_trash});
    }
}

void check_devices(survey& out, const expectations& expected, const allowances& allowed) {
    std::map<std::string, std::string> by_id;
    for (std::size_t i = 0; i < out.all.devices.size(); ++i) {
        const auto& uuid = out.all.devices[i];
        const auto& id = out.device_ids[i];
        if (!id.empty()) {
            if (const auto [other, first] = by_id.emplace(id, uuid); !first) {
                stop(out, fmt::format("device {} has two volume UUIDs, {} and {}", id, other->second, uuid));
            }
        }
        const auto* const known = expected.last ? expected.last->find_device(uuid) : nullptr;
        if (known && known->device_id != id && !allowed.changed.contains(uuid)) {
            stop(out,
                 fmt::format("volume {} was device {} in the last run and is {} now: is the "
                             "right disk mounted?",
                             uuid, known->device_id, id),
                 "--allow-changed " + uuid);
        }
    }
}

void check_missing(const std::vector<server_answer>& answers, const expectations& expected, const allowances& allowed,
                   survey& out) {
    std::set<std::pair<std::string, std::string>> wanted(expected.mounts.begin(), expected.mounts.end());
    if (expected.last) {
        for (const auto& s : expected.last->servers) {
            for (const auto& m : s.mounts) wanted.emplace(s.url, m);
        }
    }
    for (const auto& [url, uuid] : wanted) {
        if (allowed.missing.contains(uuid) || allowed.missing.contains(url)) continue;
        const auto answer = std::ranges::find(answers, url, &server_answer::url);
        if (answer != answers.end() && !answer->mounts) continue;  // Is reported already.
        if (answer != answers.end() &&
            std::ranges::find(*answer->mounts, uuid, &mount_info::uuid) != answer->mounts->end())
            continue;
        stop(out,
             answer == answers.end()
                 ? fmt::format("server {} had mount {} in the last run, and is none of the servers now", url, uuid)
                 : fmt::format("mount {} of {} is missing", uuid, url),
             "--allow-missing " + (answer == answers.end() ? url : uuid));
    }
}

bool above_percent(std::uint64_t part, std::uint64_t whole, std::int64_t percent) {
    return static_cast<long double>(part) * 100 > static_cast<long double>(whole) * static_cast<long double>(percent);
}

void check_amounts(const survey& found, const planner& plan, const rules& r, const allowances& allowed,
                   std::vector<problem>& out) {
    const auto limit = allowed.trash_percent.value_or(r.trash_percent);
    const auto mount_limit = allowed.trash_percent.value_or(r.trash_percent_mount);
    device_totals sum;
    for (std::size_t i = 0; i < plan.devices().size(); ++i) {
        const auto& d = plan.devices()[i];
        sum.add(d);
        if (above_percent(d.trash_copies, d.copies, mount_limit) ||
            above_percent(d.trash_bytes, d.bytes, mount_limit)) {
            out.push_back({.text = fmt::format("{} of {} copies on volume {} would be trashed, more than {} %",
                                               d.trash_copies, d.copies, found.all.devices[i], mount_limit),
                           .option = "--max-trash PERCENT"});
        }
    }
    if (above_percent(sum.trash_copies, sum.copies, limit) || above_percent(sum.trash_bytes, sum.bytes, limit)) {
        out.push_back({.text = fmt::format("{} of {} copies ({} of {} bytes) would be trashed, more than {} %",
                                           sum.trash_copies, sum.copies, sum.trash_bytes, sum.bytes, limit),
                       .option = "--max-trash PERCENT"});
    }
}

void check_references(const reference_facts& references, const rules& r, const allowances& allowed,
                      const last_run* last, std::vector<problem>& out) {
    if (!references.used) return;
    if (references.count == 0) out.push_back({.text = "the files name no block at all"});
    if (references.age > r.references_max_age) {
        out.push_back({.text = fmt::format("the references are {}s old, more than references_max_age",
                                           std::chrono::floor<seconds>(references.age).count())});
    }
    if (!allowed.fewer_references && last && fewer_references(references, *last)) {
        out.push_back({.text = fmt::format("{}, and {} in the last run: is a file cut?",
                                           keepctl::count_of(references.count, "reference"), last->references),
                       .option = "--allow-fewer-references"});
    }
}

void check_policy(const trash_policy& policy, const allowances& allowed, std::vector<problem>& out) {
    if (policy.signing_ttl < limits::balance_signing_ttl_min)
        out.push_back({.text = "BlobSigningTTL is below one hour: blocks being uploaded would be trashed"});
    if (allowed.permanent_delete || (policy.known && policy.trash_lifetime.count() > 0)) return;
    out.push_back({.text = policy.known ? "BlobTrashLifetime is 0: servers delete what they trash"
                                        : "without a configuration it is not known whether servers keep trash",
                   .option = "--allow-permanent-delete"});
}

}  // namespace

bool fewer_references(const reference_facts& now, const last_run& before) noexcept {
    return now.count * 100 < before.references * limits::balance_references_percent_min;
}

survey make_survey(const std::vector<server_answer>& answers, const expectations& expected, const allowances& allowed) {
    survey out;
    std::vector<found_mount> found;
    add_servers(answers, allowed, out, found);
    if (!add_classes(found, expected, out)) return out;
    add_mounts(found, out);
    check_devices(out, expected, allowed);
    check_missing(answers, expected, allowed, out);
    if (out.all.mounts.empty()) stop(out, "there are no mounts");
    return out;
}

std::vector<problem> judge_plan(const survey& found, const planner& plan, const rules& r,
                                const reference_facts& references, const trash_policy& policy,
                                const allowances& allowed, const last_run* last, bool partial) {
    std::vector<problem> out;
    for (std::size_t i = 0; i < found.all.devices.size() && last && !partial; ++i) {
        const auto& uuid = found.all.devices[i];
        const auto* const known = last->find_device(uuid);
        const auto entries = plan.devices()[i].copies;
        if (!known || allowed.changed.contains(uuid) ||
            !above_percent(known->entries - std::min(known->entries, entries), known->entries, r.shrink_percent))
            continue;
        out.push_back({.stops = true,
                       .text = fmt::format("volume {} lists {}, and {} in the last run: is the disk mounted?", uuid,
                                           keepctl::count_of(entries, "block"), known->entries),
                       .option = "--allow-changed " + uuid});
    }
    check_amounts(found, plan, r, allowed, out);
    check_references(references, r, allowed, last, out);
    check_policy(policy, allowed, out);
    return out;
}

}  // namespace keepstore::keepctl::balance
