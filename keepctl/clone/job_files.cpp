#include "keepctl/clone/job_files.hpp"

#include "base/json.hpp"
#include "base/limits.hpp"
#include "base/utc_text.hpp"
#include "cloud/time.hpp"
#include "keepctl/cluster/limits.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace keepstore::keepctl {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view job_format = "keepctl-clone-1";
constexpr std::string_view result_format = "keepctl-clone-result-1";

/// Bytes that are no UTF-8, of a response or a command line, are replaced.
std::string line_of(const ordered_json& object) {
    return json_to_text(object) + '\n';
}

std::optional<json> object_of(std::string_view text) {
    auto parsed = parse_json(text);
    if (!parsed.is_object()) return std::nullopt;
    return parsed;
}

// In the order of the file.
constexpr std::pair<const char*, std::uint64_t clone_counts::*> count_fields[] = {
    {"listed", &clone_counts::listed},   {"copied", &clone_counts::copied},
    {"present", &clone_counts::present}, {"replaced", &clone_counts::replaced},
    {"gone", &clone_counts::gone},       {"bad_source", &clone_counts::bad_source},
    {"bytes", &clone_counts::bytes},     {"read_to_verify", &clone_counts::read_to_verify},
    {"foreign", &clone_counts::foreign},
};

void put_counts(ordered_json& out, const clone_counts& counts) {
    for (const auto& [name, member] : count_fields) out[name] = counts.*member;
}

bool get_counts(const json& from, clone_counts& into) {
    for (const auto& [name, member] : count_fields) {
        const auto value = json_number(from, name);
        if (!value) return false;
        into.*member = *value;
    }
    const auto failed = json_number(from, "failed_total");
    if (!failed || *failed < into.bad_source) return false;
    into.failed = *failed - into.bad_source;
    return into.add_up();
}

std::optional<block_failure> failure_of(const json& from) {
    if (!from.is_object()) return std::nullopt;
    const auto name = md5_digest::parse(json_text(from, "hash"));
    const auto size = json_number(from, "size");
    if (!name || !size || *size > limits::block_size_bytes_max) return std::nullopt;
    return block_failure{.block = *name,
                         .size = static_cast<std::uint32_t>(*size),
                         .outcome = json_text(from, "class"),
                         .reason = json_text(from, "reason")};
}

std::string segment_name(std::string_view segment) {
    return std::string(segment.empty() ? "all" : segment);
}

}  // namespace

std::string response_file(std::string_view segment) {
    return "segments/" + segment_name(segment) + ".json";
}
std::string claim_file(std::string_view segment) {
    return "segments/" + segment_name(segment) + ".claim";
}

std::optional<clone_mode> parse_mode(std::string_view text) {
    for (const auto mode : {clone_mode::automatic, clone_mode::server_side, clone_mode::stream}) {
        if (text == to_string(mode)) return mode;
    }
    return std::nullopt;
}

std::optional<clone_proof> parse_proof(std::string_view text) {
    for (const auto proof : {clone_proof::etag, clone_proof::read, clone_proof::none}) {
        if (text == to_string(proof)) return proof;
    }
    return std::nullopt;
}

std::string encode(const clone_job& job) {
    ordered_json out;
    out["format"] = job_format;
    out["id"] = job.id;
    out["source"] = job.source;
    out["destination"] = job.destination;
    out["mode"] = to_string(job.mode);
    out["digits"] = job.digits;
    out["created_at"] = utc_text(job.created_at);
    out["options"] = {{"trash", job.trash}, {"verify", to_string(job.proof)}};
    return line_of(out);
}

std::optional<clone_job> decode_job(std::string_view text) {
    const auto in = object_of(text);
    if (!in || json_text(*in, "format") != job_format) return std::nullopt;
    const auto mode = parse_mode(json_text(*in, "mode"));
    const auto digits = json_number(*in, "digits");
    const auto created = cloud::parse_iso_date(json_text(*in, "created_at"));
    const auto options = in->find("options");
    if (!mode || !digits || *digits > limits::shard_digits_max || !created || options == in->end() ||
        !options->is_object())
        return std::nullopt;
    const auto trash = options->find("trash");
    const auto proof = parse_proof(json_text(*options, "verify"));
    if (trash == options->end() || !trash->is_boolean() || !proof) return std::nullopt;
    clone_job out{.id = json_text(*in, "id"),
                  .source = json_text(*in, "source"),
                  .destination = json_text(*in, "destination"),
                  .mode = *mode,
                  .digits = static_cast<unsigned>(*digits),
                  .created_at = *created,
                  .trash = trash->get<bool>(),
                  .proof = *proof};
    if (out.id.empty() || out.source.empty() || out.destination.empty()) return std::nullopt;
    return out;
}

std::string encode(const segment_report& report, std::string_view job) {
    ordered_json out;
    out["segment"] = report.segment;
    out["job"] = job;
    out["worker"] = report.worker;
    out["started_at"] = utc_text(report.started_at);
    out["ended_at"] = utc_text(report.ended_at);
    put_counts(out, report.counts);
    out["failed"] = ordered_json::array();
    for (const auto& f : report.failed) {
        out["failed"].push_back(
            {{"hash", f.block.hex()}, {"size", f.size}, {"class", f.outcome}, {"reason", f.reason}});
    }
    out["failed_total"] = report.failed_total();
    return line_of(out);
}

std::optional<segment_report> decode_report(std::string_view text, std::string_view job, std::string_view segment) {
    const auto in = object_of(text);
    if (!in || json_text(*in, "job") != job || json_text(*in, "segment") != segment) return std::nullopt;
    const auto started = cloud::parse_iso_date(json_text(*in, "started_at"));
    const auto ended = cloud::parse_iso_date(json_text(*in, "ended_at"));
    segment_report out{.segment = std::string(segment), .worker = json_text(*in, "worker")};
    const auto failed = in->find("failed");
    if (!started || !ended || failed == in->end() || !failed->is_array() || !get_counts(*in, out.counts))
        return std::nullopt;
    out.started_at = *started;
    out.ended_at = *ended;
    for (const auto& one : *failed) {
        auto f = failure_of(one);
        if (!f) return std::nullopt;
        out.failed.push_back(std::move(*f));
    }
    return out;
}

std::string encode(const segment_claim& claim) {
    return line_of({{"job", claim.job}, {"worker", claim.worker}, {"until", utc_text(claim.until)}});
}

std::optional<segment_claim> decode_claim(std::string_view text) {
    const auto in = object_of(text);
    if (!in) return std::nullopt;
    const auto until = cloud::parse_iso_date(json_text(*in, "until"));
    segment_claim out{.job = json_text(*in, "job"), .worker = json_text(*in, "worker")};
    if (!until || out.job.empty() || out.worker.empty()) return std::nullopt;
    out.until = *until;
    return out;
}

std::string encode(const job_result& result) {
    ordered_json out;
    out["format"] = result_format;
    out["job"] = result.job;
    out["ended_at"] = utc_text(result.ended_at);
    out["segments"] = result.segments;
    put_counts(out, result.counts);
    out["failed_total"] = result.counts.failed + result.counts.bad_source;
    return line_of(out);
}

std::optional<job_result> decode_result(std::string_view text) {
    const auto in = object_of(text);
    if (!in || json_text(*in, "format") != result_format) return std::nullopt;
    const auto ended = cloud::parse_iso_date(json_text(*in, "ended_at"));
    const auto segments = json_number(*in, "segments");
    job_result out{.job = json_text(*in, "job")};
    if (!ended || !segments || out.job.empty() || !get_counts(*in, out.counts)) return std::nullopt;
    out.ended_at = *ended;
    out.segments = static_cast<std::size_t>(*segments);
    return out;
}

}  // namespace keepstore::keepctl
