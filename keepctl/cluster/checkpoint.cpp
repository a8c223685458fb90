#include "keepctl/cluster/checkpoint.hpp"

#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/sha256.hpp"
#include "base/utc_text.hpp"
#include "cloud/time.hpp"
#include "keepctl/cluster/local_file.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace keepstore::keepctl {
namespace {

constexpr std::string_view run_format = "keepctl-run-1";
constexpr std::size_t fingerprint_digits = 16;

}  // namespace

std::string fingerprint_of(const std::vector<std::string>& parts) {
    std::string all;
    // With their lengths, so that no two lists give one text.
    for (const auto& part : parts) all += fmt::format("{}:{};", part.size(), part);
    return to_hex(sha256(all)).substr(0, fingerprint_digits);
}

std::string encode_run(const saved_run& run, std::string_view command, std::string_view fingerprint) {
    nlohmann::ordered_json out;
    out["format"] = run_format;
    out["command"] = command;
    out["fingerprint"] = fingerprint;
    out["started_at"] = utc_text(run.started_at);
    out["digits"] = run.digits;
    out["done"] = run.done.to_hex();
    out["counts"] = run.counts;
    out["tool"] = "keepctl " KEEPSTORE_VERSION;
    return json_to_text(out) + '\n';
}

std::optional<saved_run> decode_run(std::string_view text, std::string_view command, std::string_view fingerprint) {
    const auto parsed = parse_json(text);
    if (!parsed.is_object()) return std::nullopt;
    if (json_text(parsed, "format") != run_format || json_text(parsed, "command") != command ||
        json_text(parsed, "fingerprint") != fingerprint)
        return std::nullopt;
    const auto started = cloud::parse_iso_date(json_text(parsed, "started_at"));
    const auto digits = json_number(parsed, "digits");
    if (!started || !digits || *digits > limits::shard_digits_max) return std::nullopt;
    saved_run out{.started_at = *started, .digits = static_cast<unsigned>(*digits)};
    out.done = shard_set(out.digits);
    if (!out.done.assign(json_text(parsed, "done"))) return std::nullopt;
    if (const auto counts = parsed.find("counts"); counts != parsed.end() && counts->is_object()) {
        for (const auto& [name, value] : counts->items()) {
            if (value.is_number_unsigned()) out.counts[name] = value.get<std::uint64_t>();
        }
    }
    return out;
}

outcome<checkpoint> checkpoint::open(const std::string& state_folder, std::string command, std::string fingerprint) {
    const auto unusable = [](const error& why) {
        return refuse(exit_code::usage, "state folder: " + why.text + " (--state-dir)");
    };
    for (const auto& folder : {state_folder + "/runs", state_folder + "/locks"}) {
        if (auto made = make_folder(folder); !made) return unusable(made.error());
    }
    auto lock = lock_file(fmt::format("{}/locks/{}", state_folder, fingerprint));
    if (!lock && lock.error() == errc::unavailable)
        return refuse(exit_code::conflict, "the same command is running already: " + lock.error().text);
    if (!lock) return unusable(lock.error());
    checkpoint out(fmt::format("{}/runs/{}.json", state_folder, fingerprint), std::move(command),
                   std::move(fingerprint), std::move(*lock));
    // A folder that cannot be written, or is full, shows now and not after the first shard.
    const std::string trial = out.path_ + ".trial";
    if (auto written = replace_file(trial, "\n"); !written) return unusable(written.error());
    ::unlink(trial.c_str());
    return out;
}

std::optional<saved_run> checkpoint::load(std::chrono::sys_seconds now, std::string& note) const {
    const auto text = read_file(path_, limits::checkpoint_bytes_max);
    if (!text) {
        if (text.error() != errc::not_found) note = "ignoring the checkpoint: " + text.error().text;
        return std::nullopt;
    }
    auto run = decode_run(*text, command_, fingerprint_);
    if (!run) {
        note = fmt::format("ignoring the checkpoint {}: it is damaged, or of another version", path_);
    } else if (now - run->started_at > limits::checkpoint_age_max) {
        note = fmt::format("ignoring the checkpoint {}: its run began more than {} days ago", path_,
                           limits::checkpoint_age_max.count());
        run.reset();
    }
    return run;
}

result<void> checkpoint::save(const saved_run& run) const {
    return replace_file(path_, encode_run(run, command_, fingerprint_));
}

void checkpoint::remove() const {
    ::unlink(path_.c_str());
}

}  // namespace keepstore::keepctl
