/// A command line, parsed (parser.hpp). Plain values; nothing is opened.
#pragma once

#include "keepctl/balance/apply_level.hpp"
#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/place.hpp"
#include "keepctl/commands/snapshot_arguments.hpp"
#include "keepctl/snapshot/repository_place.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// The Nth of `of` equal parts of all blocks, from 1.
struct shard_subset {
    unsigned number = 1;
    unsigned of = 1;
};

enum class output_shape { columns, plain, json };
enum class progress_shape { automatic, line, plain, json, none };

/// Snapshots whose blocks are to be kept.
struct kept_snapshots {
    repository_place repository;
    std::string id;    ///< An id, or "latest".
    bool all = false;  ///< All that are listed, instead.
};

struct balance_arguments {
    balance::apply_level apply = balance::apply_level::nothing;
    std::string rules_file;
    std::vector<std::string> reference_files;
    std::optional<kept_snapshots> keep_snapshots;
    bool verify_kept = false;
    std::string changes_file;
    std::string lost_file;
    std::string identity;  ///< configuration, api, position
    bool moves = true;
    std::optional<std::chrono::nanoseconds> every;
    std::optional<std::chrono::nanoseconds> wait;
    std::vector<std::string> allow_missing;  ///< URLs of servers, UUIDs of volumes.
    std::vector<std::string> allow_changed;  ///< UUIDs of volumes.
    bool allow_fewer_references = false;
    bool take_over = false;
    std::optional<std::int64_t> trash_percent;
};

struct arguments {
    std::string command;
    std::vector<std::string> words;  ///< All of it after the program's name, as given: to repeat it.

    // --- every command -----------------------------------------------------------------------------------------------
    std::optional<std::string> config;  ///< Absent: the default path, if it exists.
    std::vector<std::string> servers;   ///< URL or URL=UUID.
    std::string token_file;
    std::string signing_key_file;
    std::string management_token_file;
    std::string ca_file;
    bool tls_insecure = false;
    output_shape shape = output_shape::columns;
    bool quiet = false;
    bool no_color = false;
    int verbose = 0;
    std::optional<std::chrono::nanoseconds> timeout;

    // --- some --------------------------------------------------------------------------------------------------------
    std::optional<std::chrono::nanoseconds> watch;  ///< status --watch
    std::vector<std::string> blocks;                ///< hash or hash+size
    std::string prefix;
    std::vector<std::string> listed;  ///< ls [PLACE] [PREFIX]; parse_arguments() makes `at` and `prefix` of them.
    std::optional<place> at;          ///< ls PLACE, --place; probe PLACE
    bool details = false;             ///< ls --long
    std::string file;                 ///< put FILE, get -o FILE
    std::string classes;
    std::optional<unsigned> replication;

    std::string from_file;              ///< trash --from, untrash --from
    std::string action;                 ///< scrub ACTION; completion SHELL; man COMMAND
    std::optional<std::uint64_t> rate;  ///< scrub --rate
    bool yes = false;
    bool allow_permanent_delete = false;
    std::string missing_file;  ///< compare
    std::string extra_file;
    std::string differ_file;
    std::string combined_file;
    bool check_data = false;
    bool size_only = false;
    std::optional<shard_subset> subset;

    // --- replicate ---------------------------------------------------------------------------------------------------
    std::optional<place> source;
    std::optional<place> target;
    bool dry_run = false;
    bool fresh = false;
    bool allow_empty_source = false;
    bool error_on_no_change = false;
    bool newest_first = false;
    bool verify = false;
    bool continuous = false;
    bool exit_on_failure = false;
    std::chrono::nanoseconds interval = limits::interval_default;
    std::uint64_t bandwidth = 0;  ///< Bytes per second; 0: no limit.
    std::optional<unsigned> jobs;
    std::uint64_t memory = limits::keepctl_memory_default;
    std::optional<unsigned> digits;
    std::chrono::nanoseconds give_up_after = limits::give_up_after_default;
    std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> since;
    std::string since_text;  ///< As it was given: "24h" is another time with each run, and the same command.
    std::string only_file;
    std::string failures_file;
    std::string metrics_path;
    std::string job;
    std::string state_folder;

    // --- clone -------------------------------------------------------------------------------------------------------
    std::string mode = "auto";
    std::string proof = "etag";  ///< --verify
    bool with_trash = false;
    std::string join_job;  ///< --worker
    std::chrono::seconds claim_time{60};
    progress_shape progress = progress_shape::automatic;

    balance_arguments balance = {};
    snapshot_arguments snapshot = {};
};

}  // namespace keepstore::keepctl
