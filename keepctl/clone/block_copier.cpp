#include "keepctl/clone/block_copier.hpp"

#include "base/text.hpp"
#include "keepctl/clone/object_source.hpp"
#include "keepctl/cluster/bandwidth.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/put_bodies.hpp"
#include "volumes/cloud/attribute.hpp"
#include "volumes/limits.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::keepctl {
namespace {

using s3::error_kind;

// In the order of the values.
constexpr std::string_view mode_names[] = {"auto", "server-side", "stream"};
constexpr std::string_view proof_names[] = {"etag", "read", "none"};

/// Whether a COPY was refused as such: these keys may not read the source, do not see its bucket, or the service does
/// not copy.
bool refuses_copies(const error& why) {
    const auto kind = s3::kind_of(why);
    return kind == error_kind::access_denied || kind == error_kind::no_such_bucket || kind == error_kind::unsupported;
}

/// Whether the client learned from this failure what the next request needs. A stream cannot be sent again within the
/// call that failed.
bool is_learned(const error& why) {
    const auto kind = s3::kind_of(why);
    return kind == error_kind::wrong_region || kind == error_kind::clock_skew || kind == error_kind::expired_token;
}

/// The MD5 of an object, as far as its listing tells: it may be another value of that form.
std::optional<md5_digest> told_md5(const std::string& etag, const std::optional<md5_digest>& content_md5) {
    return content_md5 ? content_md5 : md5_digest::parse(lower_case(etag));
}

}  // namespace

std::string_view to_string(clone_mode mode) noexcept {
    return mode_names[static_cast<std::size_t>(mode)];
}

std::string_view to_string(clone_proof proof) noexcept {
    return proof_names[static_cast<std::size_t>(proof)];
}

block_copier::block_copier(const clone_bucket& source, const clone_bucket& target, const copier_options& options,
                           std::function<void(std::string)> note)
    : source_(source),
      target_(target),
      options_(options),
      note_(std::move(note)),
      mode_(options.mode),
      engine_(options.digest_threads),
      pool_(options.memory_bytes / 2),
      bandwidth_(options.bandwidth) {
    pool_.on_exhausted([this] { engine_.flush(); });
    if (mode_ == clone_mode::automatic && !same_service(source, target)) {
        mode_ = clone_mode::stream;
        note_("the buckets are at different services: blocks go through this host");
    }
}

bool block_copier::source_suspect(const clone_task& task) const {
    const auto md5 = told_md5(task.etag, task.content_md5);
    return md5 && *md5 != task.name && !source_etags_known_other_;
}

bool block_copier::target_suspect(const clone_task& task) const {
    if (task.target->size != task.size) return true;
    const auto md5 = told_md5(task.target->etag, task.target->content_md5);
    return md5 && *md5 != task.name && !target_etags_known_other_;
}

bool block_copier::is_present(const clone_task& task) const {
    return task.target && task.target_marker && !source_suspect(task) && !target_suspect(task);
}

block_copier::attempt block_copier::end_of(failure why) {
    if (why.why == errc::cancelled) return {outcome::cancelled};
    if (why.of_source && why.why == errc::not_found) return {outcome::gone};
    if (why.of_source && why.why == errc::checksum_mismatch)
        return {.end = outcome::bad_source, .why = std::move(why.why), .of_source = true};
    const bool may_pass = may_pass_later(why.why);
    const bool ends_run = is_final(why.why);
    return {.end = outcome::failed,
            .why = std::move(why.why),
            .may_pass = may_pass,
            .ends_run = ends_run,
            .of_source = why.of_source};
}

awaitable<block_copier::attempt> block_copier::copy(const clone_task& task) {
    progress on{.until = deadline::in(limits::keepctl_block_timeout)};
    auto end = co_await work_on(task, on);
    end.reads = on.reads;
    co_return end;
}

awaitable<block_copier::attempt> block_copier::work_on(const clone_task& task, progress& on) {
    if (source_suspect(task)) {
        auto read = co_await prove(source_, task, on);
        if (!read) co_return end_of({std::move(read.error()), true});
        source_etags_known_other_ = true;
    }
    bool there = task.target.has_value();
    bool bad_copy = false;
    if (there && target_suspect(task)) {
        auto read = co_await prove(target_, task, on);
        if (read && task.target->size != task.size) {
            // One of the two sizes is wrong, and it is not the target's.
            auto source = co_await prove(source_, task, on);
            if (!source) co_return end_of({std::move(source.error()), true});
            co_return end_of({{errc::collision, "collision: the destination has another block with the same MD5"}});
        }
        if (read)
            target_etags_known_other_ = true;
        else if (read.error() == errc::checksum_mismatch)
            bad_copy = true;
        else if (read.error() != errc::not_found)
            co_return end_of({std::move(read.error())});
        there = read.has_value();
    }
    if (there && task.target_marker) co_return attempt{outcome::present};
    if (!there) {
        if (auto brought = co_await bring(task, on); !brought) co_return end_of(std::move(brought.error()));
    }
    if (auto marked = co_await bring_marker(task, on); !marked) co_return end_of(std::move(marked.error()));
    co_return attempt{.end = bad_copy ? outcome::replaced : outcome::copied, .bytes = there ? 0 : task.size};
}

awaitable<block_copier::step> block_copier::bring(const clone_task& task, progress& on) {
    if (mode_ == clone_mode::automatic) {
        const auto turn = co_await deciding_.acquire(on.until);
        if (!turn) co_return std::unexpected(failure{turn.error()});
        if (mode_ == clone_mode::automatic) {
            auto first = co_await copy_in_service(task, on);
            if (first || !refuses_copies(first.error().why)) {
                if (first) mode_ = clone_mode::server_side;
                co_return first;
            }
            mode_ = clone_mode::stream;
            note_(
                fmt::format("the service does not copy from {} with the destination's keys, so blocks go through this "
                            "host: {}",
                            source_.text, first.error().why.text));
        }
    }
    if (mode_ == clone_mode::server_side) co_return co_await copy_in_service(task, on);
    auto through = co_await copy_through(task, on);
    if (through || !is_learned(through.error().why)) co_return through;
    co_return co_await copy_through(task, on);
}

awaitable<block_copier::step> block_copier::copy_in_service(const clone_task& task, progress& on) {
    if (auto turn = co_await take_bandwidth(bandwidth_, task.size, on.until); !turn)
        co_return std::unexpected(failure{std::move(turn.error())});
    auto copied = co_await target_.copy(source_, task.kind, task.name, task.etag, on.until);
    if (!copied && s3::kind_of(copied.error()) == error_kind::precondition) {
        // It was written anew since it was listed.
        auto now = co_await source_.validator_of(task.kind, task.name, on.until);
        if (!now) co_return std::unexpected(failure{std::move(now.error()), true});
        copied = co_await target_.copy(source_, task.kind, task.name, std::move(*now), on.until);
    }
    if (!copied) {
        const bool of_source = copied.error() == errc::not_found || copied.error() == errc::checksum_mismatch;
        co_return std::unexpected(failure{std::move(copied.error()), of_source});
    }
    // A copy without an MD5 of its own has that of its source.
    const bool proven = (copied->md5 ? copied->md5 : task.content_md5) == task.name;
    if (options_.proof == clone_proof::none || (proven && options_.proof == clone_proof::etag)) co_return step();
    auto read = co_await prove(target_, task, on);
    if (read) co_return step();
    // What was copied is what the source has.
    const bool bad = read.error() == errc::checksum_mismatch;
    co_return std::unexpected(failure{std::move(read.error()), bad});
}

awaitable<block_copier::step> block_copier::copy_through(const clone_task& task, progress& on) {
    auto got = co_await source_.get(task.kind, task.name, on.until);
    if (!got) co_return std::unexpected(failure{std::move(got.error()), true});
    if (got->length() > limits::block_size_bytes_max)
        co_return std::unexpected(failure{{errc::checksum_mismatch, source_.text + ": larger than a block"}, true});
    object_source from(source_.text, std::move(*got));
    paced_source paced(from, bandwidth_);
    protocol::proven_stream bytes(paced, task.name, engine_, pool_,
                                  {.queue_bytes = limits::keepctl_queue_bytes, .batching = true});
    stream_body body(bytes, on.until);
    cloud::upload_body sent;
    if (bytes.size() == 0) {
        // No body will ask for the proof.
        if (auto end = co_await body.next(); !end) co_return std::unexpected(failure{std::move(end.error()), true});
    } else {
        sent.source = &body;
    }
    auto stored = co_await target_.put(task.kind, task.name, sent, on.until);
    if (!stored) {
        // The source's own error says more than that the upload was cut off.
        if (body.failed()) co_return std::unexpected(failure{*body.failed(), bytes.source_failed()});
        co_return std::unexpected(failure{std::move(stored.error())});
    }
    if (const auto points = bytes.waypoints()) on.waypoints = volumes::cloud::encode_attribute(*points);
    const bool doubt = stored->md5.value_or(task.name) != task.name && options_.proof == clone_proof::etag &&
                       !target_etags_known_other_;
    on.stored = std::move(*stored);
    if (!doubt && options_.proof != clone_proof::read) co_return step();
    if (auto read = co_await prove(target_, task, on); !read)
        co_return std::unexpected(failure{std::move(read.error())});
    target_etags_known_other_ = target_etags_known_other_ || doubt;
    co_return step();
}

awaitable<block_copier::step> block_copier::bring_marker(const clone_task& task, progress& on) {
    if (task.source_marker && !on.stored && target_.has_markers && mode_ != clone_mode::stream) {
        auto copied = co_await target_.copy(source_, object_kind::marker, task.name, {}, on.until);
        if (copied) co_return step();
        const bool refused = mode_ == clone_mode::automatic && refuses_copies(copied.error());
        if (copied.error() != errc::not_found && !refused)
            co_return std::unexpected(failure{std::move(copied.error())});
    }
    // Only large blocks have waypoints.
    if (task.source_marker && !on.stored && target_.has_markers && task.size > limits::write_at_once_bytes_max) {
        auto found = co_await source_.waypoints_of(task.name, on.until);
        if (found)
            on.waypoints = std::move(*found);
        else if (found.error() != errc::not_found)
            co_return std::unexpected(failure{std::move(found.error())});
    }
    auto marked =
        co_await target_.mark(task.name, std::move(on.waypoints), on.stored.value_or(stored_copy()).etag, on.until);
    if (!marked) co_return std::unexpected(failure{std::move(marked.error())});
    co_return step();
}

awaitable<result<void>> block_copier::prove(const clone_bucket& of, const clone_task& task, progress& on) {
    ++on.reads;
    KS_CO_TRY(auto object, co_await of.get(task.kind, task.name, on.until));
    if (object.length() > limits::block_size_bytes_max)
        co_return fail(errc::checksum_mismatch, of.text + ": larger than a block");
    object_source from(of.text, std::move(object));
    paced_source paced(from, bandwidth_);
    protocol::proven_stream bytes(paced, task.name, engine_, pool_,
                                  {.queue_bytes = limits::keepctl_queue_bytes, .batching = true});
    while (true) {
        KS_CO_TRY(const auto piece, co_await bytes.next(on.until));
        if (piece.size() == 0) co_return success();
    }
}

}  // namespace keepstore::keepctl
