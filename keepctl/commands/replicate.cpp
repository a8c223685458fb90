#include "keepctl/replicate/replication.hpp"

#include "base/event_loop_group.hpp"
#include "base/utc_text.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/run_frame.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

class replicate_command final : public run_observer, public framed_work {
  public:
    explicit replicate_command(session& s) : session_(s), given_(s.given()), frame_(s) {}

    /// What can be decided before anything is contacted.
    std::expected<void, start_error> prepare();
    exit_code run() { return frame_.execute(replicate()); }

    void warn(std::string_view text) override { frame_.warn(text); }
    void failed(const block_failure& failure) override { frame_.failed(failure); }
    void shard_done(std::size_t shard) override { frame_.shard_done(shard); }

    [[nodiscard]] run_figures figures() const override;
    [[nodiscard]] std::string progress_line(double seconds, bool as_json) const override;
    void stop() override { engine_->stop(); }
    [[nodiscard]] bool stopped() const override { return engine_->stopped(); }
    [[nodiscard]] std::size_t busy() const override { return engine_->busy(); }

  private:
    awaitable<exit_code> replicate();
    awaitable<std::optional<start_error>> begin();
    [[nodiscard]] exit_code summarize();
    [[nodiscard]] exit_code judge() const;
    [[nodiscard]] record summary() const;

    session& session_;
    const arguments& given_;
    run_frame frame_;
    replicate_options options_;
    std::unique_ptr<block_place> source_;
    std::unique_ptr<block_place> target_;
    std::optional<replication> engine_;
};

std::expected<void, start_error> replicate_command::prepare() {
    if (!given_.only_file.empty()) {
        auto names = read_names("--only", given_.only_file);
        if (!names) return std::unexpected(std::move(names.error()));
        options_.only = std::move(*names);
    }
    options_.jobs = given_.jobs;
    options_.memory_bytes = given_.memory;
    options_.digest_threads = std::min(usable_processors(), limits::keepctl_digest_threads_max);
    options_.prefix = given_.prefix;
    options_.dry_run = given_.dry_run;
    options_.give_up_after = given_.give_up_after;
    if (given_.since) options_.since = given_.since->time_since_epoch().count();
    if (given_.memory / 2 < given_.jobs * limits::keepctl_job_bytes_min)
        return std::unexpected(
            start_error{exit_code::usage, fmt::format("--jobs {} need at least --memory {}MiB", given_.jobs,
                                                      2 * given_.jobs * limits::keepctl_job_bytes_min / MiB)});
    auto source = session_.open(*given_.source, {});
    if (!source) return std::unexpected(std::move(source.error()));
    const auto& config = session_.config();
    const auto copies = given_.replication.value_or(
        config ? static_cast<unsigned>(std::max<std::int64_t>(1, config->cluster.collections.default_replication))
               : 1U);
    auto target =
        session_.open(*given_.target, {.writes = !given_.dry_run, .classes = given_.classes, .copies = copies});
    if (!target) return std::unexpected(std::move(target.error()));
    source_ = std::move(*source);
    target_ = std::move(*target);
    return frame_.open_failures();
}

// Connects both places, and finds out where to begin.
awaitable<std::optional<start_error>> replicate_command::begin() {
    const auto until = deadline::in(limits::keepctl_request_timeout);
    for (auto* const p : {source_.get(), target_.get()}) {
        auto ready = co_await p->connect(until);
        if (ready) continue;
        const auto code = ready.error() == errc::bad_request ? exit_code::usage : exit_code::unreachable;
        co_return start_error{code, fmt::format("{}: {}", p->name(), ready.error().text)};
    }
    if (auto same = same_storage(*given_.source, *source_, *given_.target, *target_); !same.empty())
        co_return start_error{exit_code::usage, std::move(same)};
    engine_.emplace(*source_, *target_, options_, *this);
    if (!given_.dry_run) {
        std::string only;
        if (options_.only) {
            for (const auto& name : *options_.only) only += name.hex();
        }
        auto opened = frame_.open_state({"replicate", given_.source->text, given_.target->text,
                                         source_->mounts().front().device_id, target_->mounts().front().device_id,
                                         given_.prefix, given_.classes, only, given_.since ? "since" : "",
                                         given_.digits ? std::to_string(*given_.digits) : ""});
        if (!opened) co_return std::move(opened.error());
    }
    if (!frame_.resumed()) {
        auto digits = given_.digits ? result<unsigned>(*given_.digits) : co_await engine_->choose_digits();
        if (!digits) co_return start_error{exit_code::unreachable, digits.error().text};
        frame_.begin(*digits);
    }
    co_return std::nullopt;
}

awaitable<exit_code> replicate_command::replicate() {
    if (auto why = co_await begin()) co_return end_with(session_, *why);
    co_await frame_.run(*this, engine_->run(frame_.done()));
    co_return summarize();
}

run_figures replicate_command::figures() const {
    const auto& c = engine_->counts();
    return {.blocks = {{"present", c.present},
                       {"copied", c.copied},
                       {"replaced", c.replaced},
                       {"gone", c.gone},
                       {"failed", c.failed},
                       {"bad_source", c.bad_source},
                       {"left", c.left}},
            .bytes = c.bytes,
            .shards_done = engine_->shards_done(),
            .shards_total = engine_->shards_total(),
            .shards_incomplete = engine_->shards_incomplete()};
}

std::string replicate_command::progress_line(double seconds, bool as_json) const {
    const auto& c = engine_->counts();
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(c.bytes) / seconds);
    if (as_json) {
        return fmt::format(
            R"({{"v":1,"type":"progress","shards_done":{},"shards":{},"listed":{},"copied":{},"bytes":{},"failed":{}}})",
            engine_->shards_done(), engine_->shards_total(), c.listed, c.copied + c.replaced, c.bytes,
            c.failed + c.bad_source);
    }
    return fmt::format("replicate  shard {}/{}  {} looked at  {} copied {}  {} failed  {}/s", engine_->shards_done(),
                       engine_->shards_total(), grouped(c.listed), grouped(c.copied + c.replaced), short_bytes(c.bytes),
                       grouped(c.failed + c.bad_source), short_bytes(rate));
}

record replicate_command::summary() const {
    const auto& c = engine_->counts();
    const auto n = [](std::uint64_t value) { return cell(static_cast<std::int64_t>(value)); };
    return {{"dry_run", given_.dry_run},
            {"listed", n(c.listed)},
            {"present", n(c.present)},
            {"copied", n(c.copied)},
            {"replaced", n(c.replaced)},
            {"gone", n(c.gone)},
            {"failed", n(c.failed)},
            {"bad_source", n(c.bad_source)},
            {"left", n(c.left)},
            {"bytes", n(c.bytes)},
            {"too_large", n(c.too_large)},
            {"shards", n(engine_->shards_total())},
            {"shards_done", n(engine_->shards_done())},
            {"shards_incomplete", n(engine_->shards_incomplete())}};
}

exit_code replicate_command::judge() const {
    const auto& c = engine_->counts();
    auto code = frame_.problem();
    if (!c.add_up() || engine_->shards_incomplete() > 0 || c.left > 0) code = worse(code, exit_code::not_finished);
    if (const auto& fatal = engine_->fatal()) {
        const bool nothing_done = c.copied + c.replaced == 0 && *fatal != errc::no_space;
        code = worse(code, nothing_done ? exit_code::unreachable : exit_code::not_finished);
    }
    if (c.failed + c.bad_source > 0) code = worse(code, exit_code::some_failed);
    if (code == exit_code::done && !engine_->source_has_entries() && !given_.allow_empty_source && !frame_.resumed())
        code = exit_code::refused;
    if (code == exit_code::done && given_.error_on_no_change && c.copied + c.replaced == 0) code = exit_code::no_change;
    return worse(code, session_.stopped_by());
}

exit_code replicate_command::summarize() {
    frame_.clear();
    auto& out = session_.out();
    const auto code = judge();
    const auto& c = engine_->counts();
    out.say(
        fmt::format("{} blocks looked at: {} present, {} {} ({}), {} replaced, {} gone at the source, {} bad at the "
                    "source, {} failed, {} left",
                    grouped(c.listed), grouped(c.present), grouped(c.copied),
                    given_.dry_run ? "to be copied" : "copied", short_bytes(c.bytes), grouped(c.replaced),
                    grouped(c.gone), grouped(c.bad_source), grouped(c.failed), grouped(c.left)));
    if (frame_.resumed()) out.note("other shards were looked at by the run of " + utc_text(frame_.run_started_at()));
    frame_.report_failures();
    if (c.too_large > 0)
        out.note(fmt::format("{} files or objects are larger than a block and were left out", c.too_large));
    if (!c.add_up()) out.error("the counts do not add up: this is a bug");
    if (const auto& fatal = engine_->fatal()) out.error("ended early: " + fatal->text);
    if (engine_->shards_incomplete() > 0)
        out.error(
            fmt::format("{} of {} shards could not be listed", engine_->shards_incomplete(), engine_->shards_total()));
    if (code == exit_code::refused)
        out.error("the source lists no block at all, as an unmounted disk does; --allow-empty-source if that is right");
    frame_.close(code);
    out.end(code, summary());
    return code;
}

}  // namespace

exit_code run_replicate(session& s) {
    replicate_command command(s);
    if (auto ready = command.prepare(); !ready) return end_with(s, ready.error());
    return command.run();
}

}  // namespace keepstore::keepctl
