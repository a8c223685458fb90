/// Findings and position of a scrub: values for GET /_scrub and /metrics, and the record that they are read from.
#pragma once

#include "base/md5_digest.hpp"
#include "store/limits.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::store {

using scrub_time = std::chrono::system_clock::time_point;

struct scrub_counts {
    std::uint64_t blocks = 0;             ///< Checked to their end, good or bad.
    std::uint64_t bytes = 0;              ///< Read.
    std::uint64_t bad = 0;                ///< Copies whose content does not match their MD5.
    std::uint64_t unreadable = 0;         ///< Copies that cannot be read.
    std::uint64_t repaired = 0;           ///< Of both, replaced by good data.
    std::uint64_t irreparable = 0;        ///< Of both, left as they are.
    std::uint64_t vanished = 0;           ///< Trashed between being listed and being read.
    std::uint64_t waypoints_written = 0;  ///< Good blocks that had none, or wrong ones.

    [[nodiscard]] bool operator==(const scrub_counts&) const = default;
};

enum class scrub_state {
    starting,  ///< The checkpoint of the last process is being loaded.
    idle,      ///< Never begun since the start of the process.
    running,
    stopped,  ///< By request or by the end of the process. Next: goes on from its position.
    finished,
    failed,  ///< The volume does not respond, or cannot be read. Next: goes on from its position.
};

[[nodiscard]] std::string_view to_string(scrub_state) noexcept;

struct irreparable_copy {
    md5_digest block;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;  ///< Where the first bad or unreadable part begins, as far as known.
    std::string problem;
    scrub_time first_seen;
};

struct scrub_status {
    std::string mount;
    std::vector<std::string> same_device;  ///< Other mounts of the same storage, scrubbed with this one.
    std::string device_id;
    bool repairs = false;  ///< The mount may be written to.
    scrub_state state = scrub_state::starting;
    std::string reason;     ///< Of a failure.
    unsigned position = 0;  ///< Steps done of limits::scrub_steps.
    std::optional<scrub_time> started;
    std::optional<scrub_time> ended;
    std::optional<scrub_time> last_complete;  ///< End of the last complete pass.
    std::optional<scrub_time> next_due;
    std::uint64_t rate_limit = 0;               ///< Bytes per second; 0: none.
    double rate = 0;                            ///< Bytes per second since the pass began or went on.
    std::optional<std::chrono::seconds> left;   ///< Of a running pass, at its present speed.
    scrub_counts pass;                          ///< Of this pass, its parts before a restart included.
    scrub_counts total;                         ///< Since the start of the process.
    std::vector<irreparable_copy> irreparable;  ///< At most limits::scrub_listed_max, sorted by name.
    std::uint64_t irreparable_unlisted = 0;
};

/// The part of a record that survives a restart.
struct scrub_checkpoint {
    unsigned position = 0;
    bool interrupted = false;  ///< A pass was running. Next: it goes on by itself.
    std::optional<scrub_time> started;
    std::optional<scrub_time> last_complete;
    scrub_counts pass;

    [[nodiscard]] bool operator==(const scrub_checkpoint&) const = default;

    /// JSON, a few hundred bytes: {"version":1,"position":...}. Times are nanoseconds since 1970.
    [[nodiscard]] std::vector<std::byte> encode() const;
    /// \returns nothing if it is damaged or of an unknown version.
    [[nodiscard]] static std::optional<scrub_checkpoint> decode(std::span<const std::byte>);
};

/// Written by the scrub of one volume, read by requests. Safe to use from any thread.
class scrub_record {
  public:
    /// Begins a pass: a new one at step 0, or the present one where it stopped.
    void begin(bool fresh, scrub_time wall, std::chrono::steady_clock::time_point now);
    void end(scrub_state, std::string reason, scrub_time wall);
    /// Takes over the checkpoint of an earlier process, if there is a readable one.
    void restore(const std::optional<scrub_checkpoint>&, std::optional<scrub_time> next_due);

    void reached(unsigned position);
    void read(std::uint64_t bytes) { count(&scrub_counts::bytes, bytes); }
    void count(std::uint64_t scrub_counts::* what, std::uint64_t n = 1);
    /// Lists the copy, or updates its entry.
    void irreparable(irreparable_copy);
    /// Takes the copy off the list: it is good, repaired or gone.
    void settled(const md5_digest&);
    void set_next_due(std::optional<scrub_time>);

    [[nodiscard]] unsigned position() const;
    [[nodiscard]] scrub_checkpoint checkpoint() const;
    /// Without the fields that describe the mount, which the scrubber fills in.
    [[nodiscard]] scrub_status snapshot(std::chrono::steady_clock::time_point now) const;

  private:
    struct listed {
        irreparable_copy copy;
        std::uint64_t pass;  // In which it was seen last.
    };

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    scrub_state state_ = scrub_state::starting;
    std::string reason_;
    unsigned position_ = 0;
    std::optional<scrub_time> started_, ended_, last_complete_, next_due_;
    scrub_counts pass_, total_;
    std::uint64_t pass_number_ = 0;
    std::map<md5_digest, listed> irreparable_;
    std::uint64_t unlisted_ = 0;
    // Where and when the present run of the pass began, for its speed.
    std::chrono::steady_clock::time_point run_began_{};
    unsigned run_position_ = 0;
    std::uint64_t run_bytes_ = 0;
};

}  // namespace keepstore::store
