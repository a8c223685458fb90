/// What a balance run leaves for the next one, STATE/balance/last.json:
///
///     {"format":"keepctl-balance-1","ended_at":"2026-11-20T18:00:00Z","references":1000000,
///      "servers":[{"url":"http://keep0:25107","mounts":["zzzzz-nyw5e-000000000000000"],
///                  "pull_items":10,"pull_sha256":["9f86..."],"trash_items":0,"trash_sha256":[]}],
///      "devices":[{"uuid":"zzzzz-nyw5e-000000000000000","device_id":"8:1","entries":123456}]}
///
/// Pure. Fields may be added; another format is ignored.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl::balance {

/// Lists of one kind that were sent to a server, or were about to be when the run was killed.
struct sent_lists {
    std::uint64_t items = 0;               ///< Of the last one.
    std::vector<std::string> sha256 = {};  ///< Of their bodies, in hex; the last one first, at most `kept`.
    static constexpr std::size_t kept = 4;

    void add(std::uint64_t item_count, std::string sha);

    [[nodiscard]] bool operator==(const sent_lists&) const = default;
};

struct known_server {
    std::string url;
    std::vector<std::string> mounts = {};  ///< UUIDs.
    sent_lists pull = {};
    sent_lists trash = {};

    [[nodiscard]] bool operator==(const known_server&) const = default;
};

struct known_device {
    std::string uuid;
    std::string device_id;
    std::uint64_t entries = 0;  ///< Of its index, less those that were to be trashed.

    [[nodiscard]] bool operator==(const known_device&) const = default;
};

struct last_run {
    std::chrono::sys_seconds ended_at{};
    std::uint64_t references = 0;  ///< 0: it had none.
    std::vector<known_server> servers = {};
    std::vector<known_device> devices = {};

    [[nodiscard]] const known_server* find_server(std::string_view url) const;
    [[nodiscard]] const known_device* find_device(std::string_view uuid) const;
    [[nodiscard]] bool operator==(const last_run&) const = default;
};

[[nodiscard]] std::string encode_last_run(const last_run&);
/// \returns nothing for another format, or a damaged file.
[[nodiscard]] std::optional<last_run> decode_last_run(std::string_view text);

}  // namespace keepstore::keepctl::balance
