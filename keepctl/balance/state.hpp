/// The folder STATE/balance: the lock of a run, what the last run left, and the references of earlier runs.
///
///     lock               flock for the time of a run
///     last.json          last_run.hpp
///     references.bin     "keepctl-references-1 COUNT CLASS...\n", then COUNT records, sorted: struct reference
///
/// A reference stays for BlobSigningTTL after the last file that had it: with its signature a client may still make a
/// collection of the block (Arvados issue 9363). Used by one thread; all calls block.
#pragma once

#include "base/unique_fd.hpp"
#include "keepctl/balance/last_run.hpp"
#include "keepctl/balance/references.hpp"
#include "keepctl/cluster/exit_code.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace keepstore::keepctl::balance {

class state {
  public:
    /// Makes the folders and takes the lock. conflict: another run holds it; usage: the folder cannot be used.
    [[nodiscard]] static outcome<state> open(const std::string& state_folder);

    [[nodiscard]] const std::string& folder() const noexcept { return folder_; }

    /// `note` gets a line about a file that is ignored.
    [[nodiscard]] std::optional<last_run> load(std::string& note) const;
    [[nodiscard]] result<void> save(const last_run& run) const;

    /// Adds the references of earlier runs that were seen at `oldest` or later. errc::not_found: there are none;
    /// anything else: the file is damaged, and what it held is not known.
    [[nodiscard]] result<std::uint64_t> load_references(reference_names& names, std::uint32_t oldest,
                                                        reference_spool& into) const;
    /// Keeps all references of the spool for later runs.
    [[nodiscard]] result<void> save_references(const reference_names& names, const reference_spool& all) const;

  private:
    state(std::string folder, unique_fd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}

    std::string folder_;
    unique_fd lock_;
};

}  // namespace keepstore::keepctl::balance
