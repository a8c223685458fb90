#include "store/scrub/scrub_status.hpp"

#include "base/json.hpp"
#include "store/limits.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace keepstore::store {
namespace {

constexpr int checkpoint_version = 1;

struct named_count {
    const char* name;
    std::uint64_t scrub_counts::* value;
};
constexpr std::array<named_count, 8> checkpoint_counts{{{"blocks", &scrub_counts::blocks},
                                                        {"bytes", &scrub_counts::bytes},
                                                        {"bad", &scrub_counts::bad},
                                                        {"unreadable", &scrub_counts::unreadable},
                                                        {"repaired", &scrub_counts::repaired},
                                                        {"irreparable", &scrub_counts::irreparable},
                                                        {"vanished", &scrub_counts::vanished},
                                                        {"waypoints", &scrub_counts::waypoints_written}}};

std::int64_t nanoseconds_of(scrub_time at) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

std::optional<scrub_time> time_in(const nlohmann::json& object, const char* key) {
    const auto at = object.find(key);
    if (at == object.end() || !at->is_number_integer()) return std::nullopt;
    return scrub_time(
        std::chrono::duration_cast<scrub_time::duration>(std::chrono::nanoseconds(at->get<std::int64_t>())));
}

}  // namespace

std::string_view to_string(scrub_state s) noexcept {
    // In the order of the enumerators.
    constexpr std::array<std::string_view, 6> names{"starting", "idle", "running", "stopped", "finished", "failed"};
    return names[static_cast<std::size_t>(s)];
}

std::vector<std::byte> scrub_checkpoint::encode() const {
    nlohmann::ordered_json out{{"version", checkpoint_version}, {"position", position}, {"interrupted", interrupted}};
    if (started) out["started"] = nanoseconds_of(*started);
    if (last_complete) out["last_complete"] = nanoseconds_of(*last_complete);
    for (const auto& [name, value] : checkpoint_counts) out[name] = pass.*value;
    const std::string text = json_to_text(out);
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

std::optional<scrub_checkpoint> scrub_checkpoint::decode(std::span<const std::byte> bytes) {
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto in = parse_json(text);
    if (!in.is_object()) return std::nullopt;
    const auto position = json_number(in, "position");
    if (json_number(in, "version") != checkpoint_version || !position || *position >= limits::scrub_steps)
        return std::nullopt;
    scrub_checkpoint out;
    out.position = static_cast<unsigned>(*position);
    const auto interrupted = in.find("interrupted");
    out.interrupted = interrupted != in.end() && interrupted->is_boolean() && interrupted->get<bool>();
    out.started = time_in(in, "started");
    out.last_complete = time_in(in, "last_complete");
    for (const auto& [name, value] : checkpoint_counts) out.pass.*value = json_number(in, name).value_or(0);
    return out;
}

void scrub_record::begin(bool fresh, scrub_time wall, std::chrono::steady_clock::time_point now) {
    const std::lock_guard lock(mutex_);
    if (fresh || !started_) {
        position_ = 0;
        pass_ = {};
        started_ = wall;
        ++pass_number_;
        unlisted_ = 0;
    }
    state_ = scrub_state::running;
    reason_.clear();
    ended_.reset();
    next_due_.reset();
    run_began_ = now;
    run_position_ = position_;
    run_bytes_ = pass_.bytes;
}

void scrub_record::end(scrub_state state, std::string reason, scrub_time wall) {
    const std::lock_guard lock(mutex_);
    state_ = state;
    reason_ = std::move(reason);
    ended_ = wall;
    if (state != scrub_state::finished) return;
    last_complete_ = wall;
    position_ = 0;
    // Copies that were listed in an earlier pass and not found in this one are gone.
    std::erase_if(irreparable_, [&](const auto& item) { return item.second.pass != pass_number_; });
}

void scrub_record::restore(const std::optional<scrub_checkpoint>& saved, std::optional<scrub_time> next_due) {
    const std::lock_guard lock(mutex_);
    next_due_ = next_due;
    state_ = scrub_state::idle;
    if (!saved) return;
    position_ = saved->position;
    started_ = saved->started;
    last_complete_ = saved->last_complete;
    pass_ = saved->pass;
    if (saved->position > 0 || saved->interrupted) {
        state_ = scrub_state::stopped;
    } else if (saved->last_complete) {
        state_ = scrub_state::finished;
        ended_ = saved->last_complete;
    }
}

void scrub_record::reached(unsigned position) {
    const std::lock_guard lock(mutex_);
    position_ = position;
}

void scrub_record::count(std::uint64_t scrub_counts::* what, std::uint64_t n) {
    const std::lock_guard lock(mutex_);
    pass_.*what += n;
    total_.*what += n;
}

void scrub_record::irreparable(irreparable_copy copy) {
    const std::lock_guard lock(mutex_);
    ++pass_.irreparable;
    ++total_.irreparable;
    if (const auto known = irreparable_.find(copy.block); known != irreparable_.end()) {
        copy.first_seen = known->second.copy.first_seen;
        known->second = {std::move(copy), pass_number_};
    } else if (irreparable_.size() < limits::scrub_listed_max) {
        const md5_digest name = copy.block;
        irreparable_.emplace(name, listed{std::move(copy), pass_number_});
    } else {
        ++unlisted_;
    }
}

void scrub_record::settled(const md5_digest& block) {
    const std::lock_guard lock(mutex_);
    irreparable_.erase(block);
}

void scrub_record::set_next_due(std::optional<scrub_time> at) {
    const std::lock_guard lock(mutex_);
    next_due_ = at;
}

unsigned scrub_record::position() const {
    const std::lock_guard lock(mutex_);
    return position_;
}

scrub_checkpoint scrub_record::checkpoint() const {
    const std::lock_guard lock(mutex_);
    return {.position = position_ < limits::scrub_steps ? position_ : 0,
            .interrupted = state_ == scrub_state::running,
            .started = started_,
            .last_complete = last_complete_,
            .pass = pass_};
}

scrub_status scrub_record::snapshot(std::chrono::steady_clock::time_point now) const {
    const std::lock_guard lock(mutex_);
    scrub_status out;
    out.state = state_;
    out.reason = reason_;
    out.position = state_ == scrub_state::finished ? limits::scrub_steps : position_;
    out.started = started_;
    out.ended = ended_;
    out.last_complete = last_complete_;
    out.next_due = next_due_;
    out.pass = pass_;
    out.total = total_;
    out.irreparable_unlisted = unlisted_;
    out.irreparable.reserve(irreparable_.size());
    for (const auto& [name, item] : irreparable_) out.irreparable.push_back(item.copy);
    if (state_ != scrub_state::running) return out;
    const double seconds = std::chrono::duration<double>(now - run_began_).count();
    if (seconds > 0) out.rate = static_cast<double>(pass_.bytes - run_bytes_) / seconds;
    if (position_ > run_position_) {
        const double left = seconds / (position_ - run_position_) * (limits::scrub_steps - position_);
        out.left = std::chrono::seconds(static_cast<std::int64_t>(std::min(left, 1e9)));
    }
    return out;
}

}  // namespace keepstore::store
