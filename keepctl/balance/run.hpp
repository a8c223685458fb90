/// One balance run: asks servers, reads indexes shard by shard, plans, and sends lists.
///
///     survey ──► mounts, clocks ──► problem that stops? ── yes ─────────────────────────────► nothing is sent
///                                     │ no
///     --apply ──► lists that another balancer sent? ── yes ─────────────────────────────────► conflict
///     --apply all ──► PUT /trash [] everywhere, and wait until no item is being worked on: no older decision is
///     carried
///                                     │                        out while this one is made
///     shards, from a random one: indexes + references ──► planner
///                                     │
///                      problem that stops? ── yes ──────────────────────────────────────────► nothing is sent
///     --apply ──► PUT /pull everywhere ── one failed ──► no trash list is sent
///     --verify-kept ──► a kept copy is read for each block to be trashed; what is not proven is not trashed
///     --apply all, no problem ──► PUT /trash everywhere
///
/// Used from the one event loop of the tool; indexes are read on listing_loops, while the shards before are planned on
/// other threads (shard_pipeline.hpp). execute() may be cancelled anywhere: a list is replaced as a whole or not, and a
/// plan of which a part is carried out is safe (decide.hpp).
#pragma once

#include "base/async.hpp"
#include "base/async_semaphore.hpp"
#include "keepctl/balance/apply_level.hpp"
#include "keepctl/balance/kept_proofs.hpp"
#include "keepctl/balance/shard_pipeline.hpp"
#include "keepctl/balance/state.hpp"
#include "keepctl/balance/survey.hpp"
#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/cluster/keep_server.hpp"
#include "keepctl/cluster/server_work.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::keepctl::balance {

struct run_options {
    apply_level apply = apply_level::nothing;
    std::string prefix = {};
    std::optional<unsigned> digits = {};
    bool moves = true;
    bool take_over = false;
    bool verify_kept = false;
    unsigned jobs = limits::keepctl_jobs_default;  ///< Blocks that verify_kept has verified at a time.
    bool compare_pulls = false;                    ///< wait_for_lists() is to say which pulls were not carried out.
    std::uint64_t first_shard = 0;                 ///< A random number.
    unsigned threads = 1;                          ///< That plan. The plan does not depend on their number.
};

/// What a run works with. All of it outlives the run.
struct run_input {
    std::vector<keep_server> servers;
    listing_loops* loops = nullptr;
    rules policy;
    allowances allowed;
    trash_policy trash;
    std::vector<std::pair<std::string, std::string>> configured_mounts;  ///< URL and UUID.
    reference_facts references;
    const reference_spool* spool = nullptr;  ///< Nothing: every block is wanted.
    reference_names names;
    const state* folder = nullptr;
    std::optional<last_run> last;
};

class run_reports {
  public:
    virtual ~run_reports() = default;
    virtual void warn(std::string_view text) = 0;
    virtual void lost(block_id block) = 0;
};

/// What a server says of its work; neither: it does not.
struct asked_work {
    std::optional<server_work> work = {};
    std::string error_text = {};
};

/// What came of the pull list of a server, in items.
struct pull_end {
    std::uint64_t sent = 0;
    std::uint64_t pulled = 0;
    std::uint64_t present = 0;  ///< The copy was there already.
    std::uint64_t failed = 0;
    std::uint64_t missing = 0;  ///< Sent, and neither pulled nor present.
};

/// Compares what a server said before it got the list with what it says now. Nothing: it does not say it, has begun
/// anew meanwhile, or still works on the list.
[[nodiscard]] std::optional<pull_end> compare_pulls(std::uint64_t sent, const server_work& before,
                                                    const server_work& after);

class run {
  public:
    run(run_input& input, run_options options, run_reports& reports);

    [[nodiscard]] awaitable<void> execute();
    /// After execute(): waits until the servers have worked off their lists, or `until`. Says what they did.
    [[nodiscard]] awaitable<void> wait_for_lists(deadline until);
    void stop() noexcept {
        stopped_ = true;
        if (proofs_) proofs_->stop();
    }
    [[nodiscard]] bool stopped() const noexcept { return stopped_; }

    // --- results -----------------------------------------------------------------------------------------------------
    [[nodiscard]] const survey& found() const noexcept { return found_; }
    /// Nothing until the plan is made, as far as it was made.
    [[nodiscard]] const planner* plan() const noexcept { return planned_ ? &*plan_ : nullptr; }
    /// Blocks that have been decided, at any time.
    [[nodiscard]] std::uint64_t blocks_decided() const noexcept { return blocks_decided_; }
    [[nodiscard]] const std::vector<problem>& problems() const noexcept { return problems_; }
    /// Why it ended early, and what failed.
    [[nodiscard]] const std::vector<refusal>& failures() const noexcept { return failures_; }
    /// Entries over 64 MiB, which are no blocks: neither copied nor trashed.
    [[nodiscard]] std::uint64_t too_large() const noexcept { return too_large_; }
    [[nodiscard]] std::size_t shards_total() const noexcept { return shards_total_; }
    [[nodiscard]] std::size_t shards_done() const noexcept { return shards_done_; }
    [[nodiscard]] std::size_t shards_incomplete() const noexcept { return shards_incomplete_; }
    /// Sorted lists of each server, the most urgent items first. Of a plan that was made.
    [[nodiscard]] const std::vector<std::vector<planned_pull>>& pulls() const noexcept { return pulls_; }
    [[nodiscard]] const std::vector<std::vector<planned_trash>>& trashes() const noexcept { return trashes_; }
    /// CPU time of all decisions.
    [[nodiscard]] std::chrono::nanoseconds decide_time() const noexcept { return decide_time_; }
    /// For each server, if it says so; after wait_for_lists().
    [[nodiscard]] const std::vector<std::optional<pull_end>>& pull_ends() const noexcept { return pull_ends_; }
    /// Nothing without verify_kept.
    [[nodiscard]] const kept_proofs* proofs() const noexcept { return proofs_ ? &*proofs_ : nullptr; }
    [[nodiscard]] bool pulls_sent() const noexcept { return pulls_sent_; }
    [[nodiscard]] bool trashes_sent() const noexcept { return trashes_sent_; }

  private:
    [[nodiscard]] awaitable<bool> survey_servers();
    [[nodiscard]] awaitable<bool> refuse_foreign_lists();
    [[nodiscard]] awaitable<bool> clear_trash_lists();
    [[nodiscard]] awaitable<bool> drain_trash();
    [[nodiscard]] awaitable<bool> make_plan();
    [[nodiscard]] awaitable<result<unsigned>> choose_digits();
    struct shard_list;
    /// Takes shards, lists and begins them, until there is none left. Several coroutines do.
    [[nodiscard]] awaitable<void> list_shards(shard_list& work);
    void begin_listed(shard_list& work, std::string prefix, const shard_pipeline::listings* place,
                      const result<std::uint64_t>& listed);
    /// Lists a shard of each device, one after the other from each. \returns the number of entries that were left out,
    /// since no block is so large.
    [[nodiscard]] awaitable<result<std::uint64_t>> list_devices(std::string prefix,
                                                                std::vector<std::vector<entry>>& listed);
    void end_shard(result<void> references_read);
    [[nodiscard]] awaitable<bool> look_at_shards(std::vector<std::string> prefixes);
    [[nodiscard]] awaitable<void> send_lists();
    /// Removes items from the trash lists. \returns false when cancelled.
    [[nodiscard]] awaitable<bool> prove_kept();
    /// For each server; empty when cancelled.
    [[nodiscard]] awaitable<std::vector<asked_work>> ask_all();
    void judge_pulls(const std::vector<asked_work>& after);
    /// \returns whether all servers took theirs.
    [[nodiscard]] awaitable<bool> send_to_all(std::string path, std::function<std::string(std::size_t)> body);
    void take_lists();
    void remember();
    /// \returns whether they are remembered.
    [[nodiscard]] bool note_lists(bool trash, const std::function<std::string(std::size_t)>& body,
                                  const std::function<std::uint64_t(std::size_t)>& items);
    [[nodiscard]] plan_options options_of_plan() const;
    [[nodiscard]] bool stopping() const;
    [[nodiscard]] const keep_server& server(std::size_t number) const {
        return input_.servers[found_.answer_of_server[number]];
    }
    [[nodiscard]] std::string pull_body(std::size_t server_number) const;
    [[nodiscard]] std::string trash_body(std::size_t server_number) const;
    /// Items of all trash lists for this volume.
    [[nodiscard]] std::uint64_t trashes_of(const std::string& uuid) const;

    run_input& input_;
    const run_options options_;
    run_reports& reports_;
    bool stopped_ = false;
    survey found_;
    std::optional<planner> plan_;
    std::vector<problem> problems_;
    std::vector<refusal> failures_;
    std::vector<std::vector<planned_pull>> pulls_;
    std::vector<std::vector<planned_trash>> trashes_;
    std::uint64_t blocks_decided_ = 0;
    std::uint64_t too_large_ = 0;
    bool planned_ = false;
    std::optional<kept_proofs> proofs_;
    std::vector<asked_work> before_pulls_;
    std::vector<std::optional<pull_end>> pull_ends_;
    last_run next_;  // What this run leaves.
    std::chrono::nanoseconds decide_time_{0};
    std::size_t shards_total_ = 0;
    std::size_t shards_done_ = 0;
    std::size_t shards_incomplete_ = 0;
    bool pulls_sent_ = false;
    bool trashes_sent_ = false;
    std::deque<async_semaphore> device_turns_;  // A server is asked for one shard at a time.
    std::optional<shard_pipeline> pipeline_;    // The last one: it ends before what it works with does.
};

}  // namespace keepstore::keepctl::balance
