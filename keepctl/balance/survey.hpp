/// What servers say of themselves, made into a cluster, and what is wrong with it. Pure: survey_run.hpp asks.
///
/// A `problem` is a reason to change nothing (stop), or to trash nothing (withhold). It names the rule and the option
/// that overrides it, if one does.
#pragma once

#include "keepctl/balance/cluster.hpp"
#include "keepctl/balance/last_run.hpp"
#include "keepctl/balance/planner.hpp"
#include "keepctl/balance/rules.hpp"
#include "keepctl/cluster/block_place.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::keepctl::balance {

struct problem {
    bool stops = false;  ///< Else only trash is withheld.
    std::string text;
    std::string option = {};  ///< "--allow-missing URL"; empty: nothing overrides it.
};

/// One server's answers.
struct server_answer {
    std::string url;
    std::string identity;
    result<std::vector<mount_info>> mounts = fail(errc::unavailable);
    std::optional<std::chrono::seconds> clock_ahead = {};  ///< Of ours.
};

/// What the operator takes responsibility for.
struct allowances {
    std::set<std::string> missing = {};  ///< URLs of servers, UUIDs of volumes.
    std::set<std::string> changed = {};  ///< UUIDs of volumes.
    bool fewer_references = false;
    bool permanent_delete = false;
    std::optional<std::int64_t> trash_percent = {};  ///< Instead of both limits of the rules.
};

struct expectations {
    std::vector<std::pair<std::string, std::string>> mounts = {};  ///< URL and UUID, as the configuration has them.
    std::vector<std::string> classes = {};                         ///< Wanted, whether a mount offers them or not.
    const last_run* last = nullptr;
};

struct survey {
    cluster all;
    std::vector<std::size_t> answer_of_server;  ///< For each server of the cluster its index in the answers.
    std::vector<std::uint16_t> listed_by;       ///< For each device the server whose index is taken.
    std::vector<std::string> device_ids;        ///< For each device.
    std::vector<problem> problems;
    std::chrono::seconds clock_least{0};  ///< The earliest clock and the latest one, ours included, from ours.
    std::chrono::seconds clock_most{0};
};

/// Mounts that are read-only are left out if another server can write to the volume.
[[nodiscard]] survey make_survey(const std::vector<server_answer>& answers, const expectations& expected,
                                 const allowances& allowed);

/// Policies of the cluster that decide whether trashing is safe.
struct trash_policy {
    bool known = false;  ///< From a configuration.
    std::chrono::nanoseconds signing_ttl{};
    std::chrono::nanoseconds trash_lifetime{};
};

struct reference_facts {
    bool used = false;
    std::uint64_t count = 0;
    std::chrono::nanoseconds age{};  ///< Of the oldest file.
};

/// Whether a file of references seems to be cut.
[[nodiscard]] bool fewer_references(const reference_facts& now, const last_run& before) noexcept;

/// What the plan itself shows: indexes that shrank, too much trash, references that are missing.
/// \param partial  a prefix was planned only: totals say nothing.
[[nodiscard]] std::vector<problem> judge_plan(const survey& found, const planner& plan, const rules& r,
                                              const reference_facts& references, const trash_policy& policy,
                                              const allowances& allowed, const last_run* last, bool partial);

}  // namespace keepstore::keepctl::balance
