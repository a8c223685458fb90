/// The files of a clone job: small, whatever the size of the bucket, and written by compare-and-swap, so that any
/// number of workers share one job. JSON, one object a line:
///
///     job.json {"format":"keepctl-clone-1","id":"b7d1c2...","source":"s3://a?...","destination":"s3://b?...",
///                          "mode":"server-side","digits":2,"created_at":"...","options":{"trash":false,"verify":"etag"}}
///     segments/3f.json    {"segment":"3f","job":"b7d1c2...","worker":"host:pid:nonce","started_at":"...",
///                          "ended_at":"...","listed":41233,"copied":41230,"present":0,"replaced":0,"gone":1,
///                          "bad_source":0,"bytes":...,"read_to_verify":12,"foreign":0,
///                          "failed":[{"hash":"...","size":3,"class":"failed","reason":"..."}],"failed_total":2}
///     segments/3f.claim   {"job":"b7d1c2...","worker":"host:pid:nonce","until":"..."}
///     result.json         totals, written when every segment has a response
///
/// The only segment of a small bucket is "all". Files of another job id are those of an earlier job in the same place.
/// Unknown fields are ignored; an unknown format is an error. No file holds a secret. Pure functions.
#pragma once

#include "keepctl/clone/block_copier.hpp"
#include "keepctl/clone/clone_counts.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

struct clone_job {
    std::string id;
    std::string source;  ///< Places.
    std::string destination;
    clone_mode mode = clone_mode::automatic;
    unsigned digits = 0;
    std::chrono::sys_seconds created_at{};
    bool trash = false;
    clone_proof proof = clone_proof::etag;

    /// Whether both are the same work, whatever their ids and times: what was proven in another way is not done.
    [[nodiscard]] bool same_work(const clone_job& other) const noexcept {
        return source == other.source && destination == other.destination && trash == other.trash &&
               proof == other.proof;
    }
};

struct segment_claim {
    std::string job;
    std::string worker;
    std::chrono::sys_seconds until{};  ///< By the claiming worker's clock.
};

struct job_result {
    std::string job;
    std::chrono::sys_seconds ended_at{};
    std::size_t segments = 0;
    clone_counts counts;
};

inline constexpr std::string_view job_file = "job.json";
inline constexpr std::string_view result_file = "result.json";
[[nodiscard]] std::string response_file(std::string_view segment);
[[nodiscard]] std::string claim_file(std::string_view segment);

[[nodiscard]] std::string encode(const clone_job&);
[[nodiscard]] std::string encode(const segment_report&, std::string_view job);
[[nodiscard]] std::string encode(const segment_claim&);
[[nodiscard]] std::string encode(const job_result&);

// Strict: nothing for anything that is not such a file.
[[nodiscard]] std::optional<clone_job> decode_job(std::string_view text);
[[nodiscard]] std::optional<segment_claim> decode_claim(std::string_view text);
[[nodiscard]] std::optional<job_result> decode_result(std::string_view text);
/// Of this job and segment only.
[[nodiscard]] std::optional<segment_report> decode_report(std::string_view text, std::string_view job,
                                                          std::string_view segment);

[[nodiscard]] std::optional<clone_mode> parse_mode(std::string_view text);
[[nodiscard]] std::optional<clone_proof> parse_proof(std::string_view text);

}  // namespace keepstore::keepctl
