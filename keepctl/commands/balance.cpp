#include "keepctl/balance/run.hpp"
#include "keepctl/commands/balance_report.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/run_frame.hpp"

#include "digest/md5.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace keepstore::keepctl {
namespace {

using balance::apply_level;
using std::chrono::system_clock;

std::string without_slash(std::string url) {
    while (url.ends_with('/')) url.pop_back();
    return url;
}

std::unexpected<start_error> usage(std::string text) {
    return std::unexpected(start_error{exit_code::usage, std::move(text)});
}

class balance_command final : public balance::run_reports, public framed_work {
  public:
    explicit balance_command(session& s) : session_(s), given_(s.given()), frame_(s) {}

    /// Reads what is in files: rules, references, the last run.
    std::expected<void, start_error> prepare();
    exit_code execute() { return frame_.execute(repeat()); }

    void warn(std::string_view text) override { frame_.warn(text); }
    void lost(block_id block) override {
        if (lost_file_) (void)lost_file_->write(block.name.hex() + " " + std::to_string(block.size) + "\n");
    }
    [[nodiscard]] run_figures figures() const override;
    [[nodiscard]] std::string progress_line(double seconds, bool as_json) const override;
    void stop() override {
        stopping_ = true;
        if (engine_) engine_->stop();
        if (waiting_) session_.cancel();
    }
    [[nodiscard]] bool stopped() const override { return stopping_; }
    [[nodiscard]] std::size_t busy() const override { return 0; }

  private:
    awaitable<exit_code> repeat();
    awaitable<exit_code> once();
    std::expected<void, start_error> choose_servers();
    std::expected<void, start_error> read_rules();
    std::expected<void, start_error> read_all_references();
    [[nodiscard]] std::string identity_for(std::size_t number, const std::string& url, const std::string& known) const;
    [[nodiscard]] exit_code judge() const;
    [[nodiscard]] exit_code summarize();
    void write_files();

    session& session_;
    const arguments& given_;
    run_frame frame_;
    std::optional<balance::state> state_;
    balance::run_input input_;
    std::optional<balance::reference_spool> spool_;
    std::optional<balance::run> engine_;
    std::optional<replacement_file> lost_file_;
    std::string last_metrics_;
    bool files_lost_ = false;
    bool stopping_ = false;
    bool waiting_ = false;  // For lists, or for the next run.
};

std::string balance_command::identity_for(std::size_t number, const std::string& url, const std::string& known) const {
    constexpr std::size_t api_digits = 16;
    constexpr std::size_t rendezvous_characters = 15;
    const auto& how = given_.balance.identity;
    if (how == "position") return fmt::format("00000-bi6l4-{:015}", number);
    if (how != "api" || !session_.config()) return known;
    // The API server makes uuids of 28 characters, all of which enter (docs/interface.md 3.4).
    const auto& cluster = session_.config()->cluster;
    std::string own;
    for (const auto& [where, instance] : cluster.internal_urls) {
        if (without_slash(where.to_string()) == url) own = instance.rendezvous;
    }
    if (own.size() == rendezvous_characters) return fmt::format("{}-bi6l4-{}", cluster.id, own);
    const std::string text = own.empty() ? url + "/" : own;
    return fmt::format("{}-bi6l4-{}", cluster.id,
                       digest::md5_of(std::as_bytes(std::span(text))).hex().substr(0, api_digits));
}

std::expected<void, start_error> balance_command::choose_servers() {
    auto context = session_.context();
    for (std::size_t i = 0; i < context.servers.size(); ++i) {
        auto& [url, identity] = context.servers[i];
        const auto by_rule = input_.policy.identities.find(without_slash(url));
        identity =
            by_rule != input_.policy.identities.end() ? by_rule->second : identity_for(i, without_slash(url), identity);
    }
    auto found = servers_of(context);
    if (!found) return usage(std::move(found.error()));
    input_.servers = std::move(*found);
    for (const auto& [url, uuid] : input_.policy.identities) {
        if (std::ranges::find(input_.servers, url, &keep_server::url) == input_.servers.end())
            return usage(fmt::format("--rules: servers: {} is none of the servers", url));
    }
    if (!given_.servers.empty() || !session_.config()) return {};
    std::size_t number = 0;
    for (const auto& [where, instance] : session_.config()->cluster.internal_urls) {
        const auto& url = input_.servers.at(number++).url();
        for (const auto& [uuid, volume] : session_.config()->cluster.volumes) {
            if (volume.access_via_hosts.empty() || volume.access_via_hosts.contains(where))
                input_.configured_mounts.emplace_back(url, uuid);
        }
    }
    return {};
}

std::expected<void, start_error> balance_command::read_rules() {
    balance::rules defaults;
    if (const auto& config = session_.config()) {
        const auto& c = config->cluster.collections;
        defaults.desired["default"] =
            static_cast<std::uint32_t>(std::clamp<std::int64_t>(c.default_replication, 1, limits::balance_copies_max));
        input_.trash = {.known = true, .signing_ttl = c.blob_signing_ttl, .trash_lifetime = c.blob_trash_lifetime};
        if (!c.blob_trash) session_.out().note("BlobTrash is off: servers take trash lists and trash nothing");
    } else {
        const cluster_config::collections_config usual;
        input_.trash = {.signing_ttl = usual.blob_signing_ttl};
    }
    if (given_.balance.rules_file.empty()) {
        input_.policy = std::move(defaults);
        return {};
    }
    const auto text = read_file(given_.balance.rules_file, limits::balance_rules_bytes_max);
    if (!text) return usage("--rules: " + text.error().text);
    auto parsed = balance::parse_rules(*text, std::move(defaults));
    if (!parsed) return usage(fmt::format("--rules: {}: {}", given_.balance.rules_file, parsed.error()));
    input_.policy = std::move(*parsed);
    return {};
}

std::expected<void, start_error> balance_command::read_all_references() {
    if (given_.balance.reference_files.empty()) return {};
    using std::chrono::seconds;
    const auto now = std::chrono::floor<seconds>(system_clock::now());
    const auto seconds_now = static_cast<std::uint32_t>(now.time_since_epoch().count());
    spool_.emplace(state_->folder(), given_.memory / 2);
    input_.references = {.used = true};
    for (const auto& path : given_.balance.reference_files) {
        struct stat about{};
        if (path != "-" && ::stat(path.c_str(), &about) == 0) {
            const std::chrono::nanoseconds age = now - std::chrono::sys_seconds(seconds(about.st_mtime));
            input_.references.age = std::max(input_.references.age, age);
        }
        auto count = balance::read_references(path, input_.names, seconds_now, *spool_);
        if (!count) return usage("--references: " + count.error().text);
        input_.references.count += *count;
    }
    const auto ttl = std::chrono::floor<seconds>(input_.trash.signing_ttl).count();
    const auto oldest = static_cast<std::uint32_t>(std::max<std::int64_t>(0, seconds_now - ttl));
    const auto earlier = state_->load_references(input_.names, oldest, *spool_);
    if (!earlier && earlier.error() != errc::not_found) {
        return std::unexpected(start_error{
            exit_code::refused, fmt::format("{}: {}; without it blocks of recent references would be trashed. "
                                            "Remove it to go on without them",
                                            state_->folder(), earlier.error().text)});
    }
    if (auto saved = state_->save_references(input_.names, *spool_); !saved)
        return usage("--state-dir: " + saved.error().text);
    input_.spool = &*spool_;
    return {};
}

std::expected<void, start_error> balance_command::prepare() {
    auto opened = balance::state::open(state_folder_of(given_));
    if (!opened) {
        return std::unexpected(start_error{opened.error().active ? exit_code::conflict : exit_code::usage,
                                           std::move(opened.error().text)});
    }
    state_.emplace(std::move(*opened));
    if (auto read = read_rules(); !read) return read;
    if (auto chosen = choose_servers(); !chosen) return chosen;
    const auto& b = given_.balance;
    input_.allowed = {.changed = {b.allow_changed.begin(), b.allow_changed.end()},
                      .fewer_references = b.allow_fewer_references,
                      .permanent_delete = given_.allow_permanent_delete,
                      .trash_percent = b.trash_percent};
    for (const auto& text : b.allow_missing) input_.allowed.missing.insert(without_slash(text));
    input_.folder = &*state_;
    return {};
}

awaitable<exit_code> balance_command::repeat() {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (true) {
        waiting_ = false;
        const auto began = std::chrono::steady_clock::now();
        const auto code = co_await once();
        if (!given_.balance.every || stopping_ || code == exit_code::usage) co_return code;
        session_.set_code_at_signal(code);
        timer.expires_at(began + *given_.balance.every);
        waiting_ = true;
        if (const auto [failed] = co_await expiry(timer); failed) co_return code;
    }
}

awaitable<exit_code> balance_command::once() {
    input_.names = {};
    input_.references = {};
    input_.spool = nullptr;
    std::string note;
    input_.last = state_->load(note);
    if (!note.empty()) session_.out().note(note);
    if (auto read = read_all_references(); !read) co_return end_with(session_, read.error());
    if (!given_.balance.lost_file.empty()) {
        auto opened = replacement_file::open(given_.balance.lost_file);
        if (!opened) co_return end_with(session_, {exit_code::usage, "--lost: " + opened.error().text});
        lost_file_.emplace(std::move(*opened));
    }
    engine_.emplace(input_,
                    balance::run_options{.apply = given_.balance.apply,
                                         .prefix = given_.prefix,
                                         .digits = given_.digits,
                                         .moves = given_.balance.moves,
                                         .take_over = given_.balance.take_over,
                                         .first_shard = std::random_device{}()},
                    *this);
    co_await frame_.run(*this, engine_->execute());
    if (given_.balance.wait && engine_->pulls_sent()) {
        waiting_ = true;
        co_await engine_->wait_for_lists(deadline::in(*given_.balance.wait));
        waiting_ = false;
    }
    co_return summarize();
}

run_figures balance_command::figures() const {
    run_figures out{.shards_done = engine_->shards_done(),
                    .shards_total = engine_->shards_total(),
                    .shards_incomplete = engine_->shards_incomplete()};
    out.blocks = {{"looked_at", engine_->blocks_decided()}};
    // While a plan is made the figures of the one before stay.
    out.more = engine_->plan() ? metrics_of(*engine_, input_.references.count) : last_metrics_;
    return out;
}

std::string balance_command::progress_line(double, bool as_json) const {
    const auto blocks = engine_->blocks_decided();
    if (as_json) {
        return fmt::format(R"({{"v":1,"type":"progress","shards_done":{},"shards":{},"blocks":{}}})",
                           engine_->shards_done(), engine_->shards_total(), blocks);
    }
    return fmt::format("balance  shard {}/{}  {} looked at", engine_->shards_done(), engine_->shards_total(),
                       grouped(blocks));
}

exit_code balance_command::judge() const {
    auto code = frame_.problem();
    for (const auto& f : engine_->failures()) code = worse(code, f.code);
    for (const auto& p : engine_->problems()) {
        if (p.stops || given_.balance.apply == apply_level::all) code = worse(code, exit_code::refused);
    }
    if (files_lost_ || (engine_->plan() && engine_->shards_done() < engine_->shards_total()))
        code = worse(code, exit_code::not_finished);
    if (engine_->plan() && engine_->plan()->counts().lost.blocks > 0) code = worse(code, exit_code::some_failed);
    return worse(code, session_.stopped_by());
}

void balance_command::write_files() {
    const auto check = [&](std::string_view option, const result<void>& written) {
        if (written) return;
        files_lost_ = true;
        session_.out().error(fmt::format("{}: {}", option, written.error().text));
    };
    const bool whole = engine_->plan() && engine_->shards_done() == engine_->shards_total();
    if (lost_file_ && whole) check("--lost", lost_file_->commit());
    lost_file_.reset();
    if (given_.balance.changes_file.empty() || !whole) return;
    auto file = replacement_file::open(given_.balance.changes_file);
    if (!file) return check("--changes", std::unexpected(file.error()));
    auto written = write_changes(*engine_, *file);
    check("--changes", written ? file->commit() : written);
}

exit_code balance_command::summarize() {
    frame_.clear();
    auto& out = session_.out();
    write_files();
    const auto code = judge();
    const auto apply = given_.balance.apply;
    if (engine_->plan() && engine_->shards_done() == engine_->shards_total()) report_plan(out, *engine_);
    for (const auto& f : engine_->failures()) out.error(f.text);
    for (const auto& p : engine_->problems()) {
        const auto option = p.option.empty() ? std::string() : fmt::format(" ({} if that is right)", p.option);
        if (p.stops)
            out.error(fmt::format("refused, nothing is sent: {}{}", p.text, option));
        else if (apply == apply_level::all)
            out.error(fmt::format("no trash list is sent: {}{}", p.text, option));
        else
            out.warn(fmt::format("--apply all would send no trash list: {}{}", p.text, option));
    }
    if (engine_->plan() && engine_->plan()->counts().lost.blocks > 0)
        out.error(fmt::format("{} wanted without any copy{}", count_of(engine_->plan()->counts().lost.blocks, "block"),
                              given_.balance.lost_file.empty() ? "; --lost FILE lists them" : ""));
    if (apply == apply_level::nothing && code == exit_code::done)
        out.note("this is a plan; --apply pulls or --apply all carries it out");
    frame_.close(code);
    last_metrics_ = metrics_of(*engine_, input_.references.count);
    out.end(code, summary_of(*engine_));
    return code;
}

}  // namespace

exit_code run_balance(session& s) {
    balance_command command(s);
    if (auto ready = command.prepare(); !ready) return end_with(s, ready.error());
    return command.execute();
}

}  // namespace keepstore::keepctl
