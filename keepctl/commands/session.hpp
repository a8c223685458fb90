/// What a command works with: configuration, tokens, servers, and the event loop that it runs on. Used by the main
/// thread.
#pragma once

#include "base/async.hpp"
#include "base/cancellable.hpp"
#include "cluster_config/config.hpp"
#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/cluster/keep_server.hpp"
#include "keepctl/cluster/listing_loops.hpp"
#include "keepctl/cluster/open_place.hpp"
#include "keepctl/commands/arguments.hpp"
#include "keepctl/commands/output.hpp"
#include "net/client/http_client.hpp"

#include <boost/asio/io_context.hpp>

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// Reads the list of blocks of an option such as --only.
[[nodiscard]] outcome<std::vector<md5_digest>> read_names(std::string_view option, const std::string& path);

/// Why blocks of these classes (empty: of the default one) cannot be stored at a place with no mount for them.
[[nodiscard]] std::string nowhere_to_store(const block_place& target, const std::string& classes);

class session {
  public:
    session(const arguments& given, output& out);
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    /// Reads configuration and tokens, as far as they are given or needed. `needs_servers`: the command is about
    /// servers.
    [[nodiscard]] outcome<void> prepare(bool needs_servers);

    [[nodiscard]] place_context context() const;
    [[nodiscard]] outcome<std::vector<keep_server>> servers() const;
    [[nodiscard]] outcome<std::unique_ptr<block_place>> open(const place& what, const place_use& use) const;

    /// Replicas of a block in `cluster`: those of --replication, else those of the configuration.
    [[nodiscard]] unsigned copies_wanted() const;

    /// Runs the command on the loop to its end. At SIGINT, SIGTERM or --timeout `on_stop` is called, once; it ends the
    /// command (by default by cancelling it). A second signal ends the process at once.
    /// \returns the command's exit code, also that of a refusal, which is printed, or that of the signal.
    [[nodiscard]] exit_code run(awaitable<outcome<exit_code>> command, std::function<void()> on_stop = {});
    /// Prints why the command cannot go on, unless the text is empty, and ends its work. \returns the code.
    exit_code end_with(const refusal& why);
    /// The code with which a signal ends a command that runs until one comes.
    void set_code_at_signal(exit_code code) { code_at_signal_ = code; }
    /// Cancels the command that runs.
    void cancel();

    [[nodiscard]] const arguments& given() const noexcept { return arguments_; }
    [[nodiscard]] output& out() const noexcept { return output_; }
    [[nodiscard]] const std::optional<cluster_config::config>& config() const noexcept { return config_; }
    /// The code of the signal or timeout that stopped the command; done if there was none.
    [[nodiscard]] exit_code stopped_by() const noexcept { return stopped_by_; }

  private:
    [[nodiscard]] outcome<void> read_config(bool needed);
    [[nodiscard]] outcome<void> read_secrets();
    void find_servers();
    [[nodiscard]] outcome<void> check_token() const;

    const arguments& arguments_;
    output& output_;
    asio::io_context& loop_;
    std::optional<cluster_config::config> config_;
    keep_access access_;
    std::vector<std::pair<std::string, std::string>> servers_;  // URL and identity.
    std::optional<net::client> client_;
    mutable listing_loops listing_loops_;
    std::shared_ptr<cancellable_task> task_;
    exit_code stopped_by_ = exit_code::done;
    std::optional<exit_code> code_at_signal_;
};

}  // namespace keepstore::keepctl
