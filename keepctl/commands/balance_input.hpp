/// What balance runs work with, out of the command line, the configuration, the state folder and files of references.
/// Used on the event loop of the tool, which reading files blocks: nothing else is under way then.
#pragma once

#include "keepctl/balance/run.hpp"
#include "keepctl/commands/session.hpp"

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

namespace keepstore::keepctl {

class balance_input {
  public:
    /// The session outlives it.
    explicit balance_input(session& s) : session_(s), given_(s.given()) {}
    balance_input(const balance_input&) = delete;
    balance_input& operator=(const balance_input&) = delete;

    /// Takes the lock of the state folder, reads the rules, and finds the servers. Once.
    [[nodiscard]] outcome<void> prepare();
    /// Reads what may have changed since the last run: the state, and references. Before each run.
    [[nodiscard]] awaitable<outcome<void>> refresh();

    /// Valid as long as this is.
    [[nodiscard]] balance::run_input& get() noexcept { return input_; }
    [[nodiscard]] std::uint64_t references() const noexcept { return input_.references.count; }
    /// The file for lost blocks; empty: none.
    [[nodiscard]] std::string lost_file() const;

  private:
    [[nodiscard]] outcome<void> choose_servers();
    [[nodiscard]] outcome<void> read_rules();
    [[nodiscard]] awaitable<outcome<void>> read_references();
    [[nodiscard]] outcome<void> read_reference_files(std::chrono::sys_seconds now);
    [[nodiscard]] outcome<void> add_earlier_references(std::chrono::sys_seconds now);
    [[nodiscard]] std::string identity_for(std::size_t number, const std::string& url, const std::string& known) const;

    session& session_;
    const arguments& given_;
    std::optional<balance::state> state_;
    balance::run_input input_;
    std::optional<balance::reference_spool> spool_;
};

}  // namespace keepstore::keepctl
