#include "keepctl/commands/balance_report.hpp"

#include "base/json.hpp"
#include "keepctl/commands/progress.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace keepstore::keepctl {
namespace {

using balance::amount;

/// In the order of balance::pull_reason.
constexpr std::string_view reason_texts[] = {"last copy", "too few copies", "too few copies in a class",
                                             "a copy of another size", "position"};

struct named_amount {
    std::string_view name;    ///< As people read it.
    std::string_view metric;  ///< As keep-balance calls it.
    const amount& value;
};

std::vector<named_amount> states_of(const balance::tally& t) {
    return {{"lost", "lost", t.lost},
            {"underreplicated", "underreplicated", t.underreplicated},
            {"balanced", "balanced", t.balanced},
            {"overreplicated", "overreplicated", t.overreplicated},
            {"unreferenced", "transient", t.unreferenced},
            {"garbage", "garbage", t.garbage},
            {"unachievable", "unachievable", t.unachievable},
            {"desired", "desired", t.desired},
            {"total", "total", t.total}};
}

std::vector<std::pair<std::string_view, const amount*>> usage_of(const balance::class_usage& u) {
    return {
        {"needed", &u.needed}, {"unneeded", &u.unneeded}, {"pulling", &u.pulling}, {"unachievable", &u.unachievable}};
}

struct list_sums {
    std::uint64_t pulls = 0;
    std::uint64_t pulls_deferred = 0;
    std::uint64_t trashes = 0;
    std::uint64_t trashes_deferred = 0;
};

list_sums sums_of(const balance::run& done) {
    list_sums out;
    for (std::size_t i = 0; i < done.pulls().size(); ++i) {
        const auto& s = done.plan()->servers()[i];
        out.pulls += done.pulls()[i].size();
        out.pulls_deferred += s.pulls.deferred();
        out.trashes += done.trashes()[i].size();
        out.trashes_deferred += s.trashes.deferred();
    }
    return out;
}

class gauges {
  public:
    void begin(std::string_view name, std::string_view help) {
        text_ += fmt::format("# HELP arvados_keep_{0} {1}\n# TYPE arvados_keep_{0} gauge\n", name, help);
    }
    void add(std::string_view name, std::uint64_t value, std::string_view labels = "") {
        text_ += fmt::format("arvados_keep_{}{} {}\n", name, labels, value);
    }
    void one(std::string_view name, std::string_view help, std::uint64_t value) {
        begin(name, help);
        add(name, value);
    }
    [[nodiscard]] std::string take() { return std::move(text_); }

  private:
    std::string text_;
};

void add_usage(gauges& out, const balance::run& done, std::string_view unit, std::uint64_t amount::* field) {
    const auto name = fmt::format("usage_{}", unit);
    out.begin(name, "stored in indicated storage class");
    const auto& t = done.plan()->counts();
    for (std::size_t c = 0; c < t.classes.size(); ++c) {
        for (const auto& [status, value] : usage_of(t.classes[c])) {
            out.add(name, value->*field,
                    fmt::format("{{storage_class=\"{}\",status=\"{}\"}}", done.found().all.classes[c], status));
        }
    }
}

}  // namespace

void report_plan(output& out, const balance::run& done) {
    const auto& all = done.found().all;
    for (std::size_t i = 0; i < done.pulls().size(); ++i) {
        const auto& s = done.plan()->servers()[i];
        out.add("server", {{"server", all.servers[i].url},
                           {"pulls", done.pulls()[i].size()},
                           {"pulls_deferred", s.pulls.deferred()},
                           {"trashes", done.trashes()[i].size()},
                           {"trashes_deferred", s.trashes.deferred()}});
    }
    for (std::size_t i = 0; i < all.devices.size(); ++i) {
        const auto& d = done.plan()->devices()[i];
        out.add("volume", {{"volume", all.devices[i]},
                           {"copies", d.copies},
                           {"bytes", d.bytes},
                           {"to_trash", d.trash_copies},
                           {"bytes_to_trash", d.trash_bytes}});
    }
    const auto& t = done.plan()->counts();
    const auto add_amount = [&](std::string_view type, std::string_view group, std::string_view name, const amount& a) {
        record fields;
        if (!group.empty()) fields.emplace_back("class", group);
        fields.emplace_back("state", name);
        fields.emplace_back("blocks", a.blocks);
        fields.emplace_back("copies", a.replicas);
        fields.emplace_back("bytes", a.bytes);
        out.add(type, std::move(fields));
    };
    for (const auto& s : states_of(t)) add_amount("state", "", s.name, s.value);
    for (std::size_t c = 0; c < t.classes.size(); ++c) {
        for (const auto& [status, value] : usage_of(t.classes[c])) add_amount("class", all.classes[c], status, *value);
    }
    for (std::size_t n = 0; n < t.by_copies.size(); ++n)
        out.add("histogram", {{"copies", n}, {"blocks", t.by_copies[n]}});
    for (std::size_t i = 0; i < done.pull_ends().size(); ++i) {
        const auto& end = done.pull_ends()[i];
        if (!end) continue;
        out.add("pulls", {{"server", all.servers[i].url},
                          {"sent", end->sent},
                          {"pulled", end->pulled},
                          {"present", end->present},
                          {"failed", end->failed},
                          {"not_carried_out", end->missing}});
    }
    out.flush();
}

record summary_of(const balance::run& done) {
    record out{{"pulls_sent", done.pulls_sent()},
               {"trashes_sent", done.trashes_sent()},
               {"shards", done.shards_total()},
               {"shards_done", done.shards_done()},
               {"shards_incomplete", done.shards_incomplete()}};
    if (!done.plan()) return out;
    const auto& t = done.plan()->counts();
    const auto sums = sums_of(done);
    out.emplace_back("pulls", sums.pulls);
    out.emplace_back("pulls_deferred", sums.pulls_deferred);
    out.emplace_back("trashes", sums.trashes);
    out.emplace_back("trashes_deferred", sums.trashes_deferred);
    out.emplace_back("blocks", t.total.blocks);
    out.emplace_back("copies", t.total.replicas);
    out.emplace_back("lost", t.lost.blocks);
    out.emplace_back("misplaced", t.misplaced);
    out.emplace_back("size_conflicts", t.size_conflicts);
    out.emplace_back("future_mtimes", t.future_mtimes);
    out.emplace_back("too_large", done.too_large());
    if (const auto* const proofs = done.proofs()) {
        out.emplace_back("kept_proven", proofs->proven());
        out.emplace_back("kept_bad", proofs->bad());
        out.emplace_back("kept_unknown", proofs->unknown());
        out.emplace_back("kept_not_provable", proofs->impossible());
    }
    const auto decided = std::chrono::floor<std::chrono::microseconds>(done.decide_time());
    out.emplace_back("decide_cpu_us", decided.count());
    return out;
}

std::string metrics_of(const balance::run& done, std::uint64_t references) {
    if (!done.plan()) return {};
    gauges out;
    const auto& t = done.plan()->counts();
    for (const auto& s : states_of(t)) {
        out.one(fmt::format("{}_blocks", s.metric), fmt::format("blocks of {}", s.name), s.value.blocks);
        out.one(fmt::format("{}_bytes", s.metric), fmt::format("bytes of {}", s.name), s.value.bytes);
        out.one(fmt::format("{}_replicas", s.metric), fmt::format("replicas of {}", s.name), s.value.replicas);
    }
    out.one("reference_count", "lines that name a block, in all files of references", references);
    out.one("referenced_blocks", "blocks that they name", done.plan()->referenced_blocks());
    const auto sums = sums_of(done);
    out.one("pull_entries_sent_count", "total entries sent in pull lists", done.pulls_sent() ? sums.pulls : 0);
    out.one("pull_entries_deferred_count", "total entries deferred (not sent) in pull lists", sums.pulls_deferred);
    out.one("trash_entries_sent_count", "total entries sent in trash lists", done.trashes_sent() ? sums.trashes : 0);
    out.one("trash_entries_deferred_count", "total entries deferred (not sent) in trash lists", sums.trashes_deferred);
    out.begin("replicated_block_count", "blocks with indicated number of replicas at last count");
    for (std::size_t n = 0; n < t.by_copies.size(); ++n)
        out.add("replicated_block_count", t.by_copies[n], fmt::format("{{replicas=\"{}\"}}", n));
    add_usage(out, done, "blocks", &amount::blocks);
    add_usage(out, done, "bytes", &amount::bytes);
    add_usage(out, done, "replicas", &amount::replicas);
    return out.take();
}

result<void> write_changes(const balance::run& done, replacement_file& into) {
    const auto& all = done.found().all;
    const auto line = [&](const block_id& block, const char* action, std::uint16_t mount) {
        const auto& m = all.mounts[mount];
        return nlohmann::ordered_json{{"hash", block.name.hex()},
                                      {"size", block.size},
                                      {"action", action},
                                      {"server", all.servers[m.server].url},
                                      {"mount", all.devices[m.device]}};
    };
    for (std::size_t i = 0; i < done.pulls().size(); ++i) {
        for (const auto& p : done.pulls()[i]) {
            auto out = line(p.block, "pull", p.mount);
            out["why"] = reason_texts[static_cast<std::size_t>(p.why)];
            for (std::size_t s = 0; s < p.source_count; ++s) out["from"].push_back(all.servers[p.sources[s]].url);
            KS_CHECK(into.write(json_to_text(out) + "\n"));
        }
        for (const auto& t : done.trashes()[i]) {
            auto out = line(t.block, "trash", t.mount);
            out["why"] = "not wanted";
            out["mtime"] = t.mtime;
            KS_CHECK(into.write(json_to_text(out) + "\n"));
        }
    }
    return success();
}

}  // namespace keepstore::keepctl
