#include "keepctl/commands/session.hpp"

#include "cluster_config/loader.hpp"
#include "cluster_config/scalars.hpp"
#include "keepctl/cluster/block_names.hpp"
#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/local_file.hpp"
#include "protocol/random_token.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <utility>

namespace keepstore::keepctl {
namespace {

constexpr std::string_view config_default_path = "/etc/arvados/config.yml";

std::string from_environment(const char* name) {
    const char* const value = std::getenv(name);
    return value ? value : "";
}

/// A token or key in a file: one line. The texts do not repeat it.
outcome<std::string> read_secret_file(const std::string& option, const std::string& path) {
    auto text = read_file(path, limits::keepctl_secret_bytes_max);
    if (!text) return refuse(exit_code::usage, option + ": " + text.error().text);
    while (!text->empty() && std::isspace(static_cast<unsigned char>(text->back()))) text->pop_back();
    for (const char c : *text) {
        if (c <= ' ' || c > '~')
            return refuse(exit_code::usage, fmt::format("{}: {}: expected one line of printable "
                                                        "characters",
                                                        option, path));
    }
    if (text->empty()) return refuse(exit_code::usage, fmt::format("{}: {}: the file is empty", option, path));
    return std::move(*text);
}

std::string with_slash(std::string url) {
    if (!url.ends_with('/')) url += '/';
    return url;
}

// Never destroyed: a thread that resumed a coroutine may still be inside post() when the command has ended.
asio::io_context& process_loop() {
    static auto& loop = *new asio::io_context(1);
    return loop;
}

awaitable<void> run_command(awaitable<outcome<exit_code>> command, session& s, exit_code& returned) {
    const auto end = co_await run_cancellable(std::move(command));
    returned = end ? *end : s.end_with(end.error());
}

}  // namespace

outcome<std::vector<md5_digest>> read_names(std::string_view option, const std::string& path) {
    auto text = read_file(path, limits::names_file_bytes_max);
    if (!text) return refuse(exit_code::usage, fmt::format("{}: {}", option, text.error().text));
    auto names = parse_block_names(*text);
    if (!names) return refuse(exit_code::usage, fmt::format("{}: {}: {}", option, path, names.error()));
    return std::move(*names);
}

std::string nowhere_to_store(const block_place& target, const std::string& classes) {
    return target.name() + ": no mount that blocks may be stored on" + (classes.empty() ? "" : " offers " + classes);
}

session::session(const arguments& given, output& out) : arguments_(given), output_(out), loop_(process_loop()) {}

outcome<void> session::prepare(bool needs_servers) {
    if (auto read = read_config(needs_servers); !read) return read;
    if (auto read = read_secrets(); !read) return read;
    find_servers();
    auto client =
        net::client::make({.user_agent = "keepctl/" KEEPSTORE_VERSION,
                           .ca_file = arguments_.ca_file,
                           .tls_insecure = arguments_.tls_insecure || (config_ && config_->cluster.tls.insecure)});
    if (!client) return refuse(exit_code::usage, "--ca-file: " + client.error().text);
    client_.emplace(std::move(*client));
    return {};
}

outcome<void> session::read_config(bool needed) {
    const auto env = cluster_config::environment::of_process();
    if (!arguments_.config && (!needed || !arguments_.servers.empty())) return {};
    std::string path = arguments_.config.value_or(env.config_path);
    if (path.empty()) {
        if (::access(std::string(config_default_path).c_str(), F_OK) != 0) return {};
        path = config_default_path;
    }
    auto loaded = cluster_config::load_config(path, env, std::cin);
    if (!loaded) return refuse(exit_code::usage, std::move(loaded.error()));
    if (arguments_.verbose > 0) {
        for (const auto& warning : loaded->warnings) output_.warn(warning);
    }
    config_ = std::move(*loaded);
    return {};
}

outcome<void> session::read_secrets() {
    const auto* const cluster = config_ ? &config_->cluster : nullptr;
    if (!arguments_.token_file.empty()) {
        KS_TRY(access_.token, read_secret_file("--token-file", arguments_.token_file));
        access_.token_origin = arguments_.token_file;
    } else {
        for (const char* const name : {"KEEPCTL_TOKEN", "ARVADOS_API_TOKEN"}) {
            if (!access_.token.empty()) break;
            access_.token = from_environment(name);
            access_.token_origin = fmt::format("${}", name);
        }
        if (access_.token.empty() && cluster) {
            access_.token = cluster->system_root_token;
            access_.token_origin = "SystemRootToken of " + config_->source;
        }
    }
    std::string key = cluster ? cluster->collections.blob_signing_key : std::string();
    if (!arguments_.signing_key_file.empty()) {
        KS_TRY(key, read_secret_file("--signing-key-file", arguments_.signing_key_file));
    }
    if (cluster) access_.management_token = cluster->management_token;
    if (!arguments_.management_token_file.empty()) {
        KS_TRY(access_.management_token, read_secret_file("--management-token-file", arguments_.management_token_file));
    }
    const cluster_config::collections_config defaults;
    const auto ttl = (cluster ? cluster->collections : defaults).blob_signing_ttl;
    access_.read_token = key.empty() && !access_.token.empty() ? access_.token : protocol::random_token();
    access_.signer = protocol::locator_signer(std::move(key), std::chrono::floor<std::chrono::seconds>(ttl));
    return {};
}

void session::find_servers() {
    constexpr std::size_t rendezvous_characters = 15;
    for (const auto& text : arguments_.servers) {
        // A URL of a server has no query, so an equals sign begins the UUID.
        const auto equals = text.find('=');
        const std::string url = with_slash(text.substr(0, equals));
        servers_.emplace_back(url, equals == std::string::npos ? identity_of(url) : text.substr(equals + 1));
    }
    if (!servers_.empty() || !config_) return;
    for (const auto& [where, instance] : config_->cluster.internal_urls) {
        const std::string url = with_slash(where.to_string());
        const auto& given = instance.rendezvous;
        servers_.emplace_back(url,
                              given.size() == rendezvous_characters ? given : identity_of(given.empty() ? url : given));
    }
}

// A configuration of servers that lacks their token is not whole: it says so before they refuse every request.
outcome<void> session::check_token() const {
    if (!config_ || !arguments_.servers.empty() || config_->cluster.internal_urls.empty() || !access_.token.empty())
        return {};
    return refuse(
        exit_code::usage,
        fmt::format("{}: Clusters.{}.SystemRootToken is missing, the token that servers want; add it, or give "
                    "--token-file or $KEEPCTL_TOKEN",
                    config_->source, config_->cluster.id));
}

place_context session::context() const {
    return {.client = *client_,
            .access = access_,
            .loops = listing_loops_,
            .config = config_ ? &*config_ : nullptr,
            .servers = servers_};
}

outcome<std::vector<keep_server>> session::servers() const {
    KS_CHECK(check_token());
    auto out = servers_of(context());
    if (!out) return refuse(exit_code::usage, std::move(out.error()));
    return std::move(*out);
}

outcome<std::unique_ptr<block_place>> session::open(const place& what, const place_use& use) const {
    if (std::holds_alternative<server_place>(what.where) || std::holds_alternative<cluster_place>(what.where)) {
        KS_CHECK(check_token());
    }
    auto out = open_place(what, context(), use);
    if (!out) return refuse(exit_code::usage, std::move(out.error()));
    return std::move(*out);
}

unsigned session::copies_wanted() const {
    const auto usual = config_ ? config_->cluster.collections.default_replication : 1;
    return arguments_.replication.value_or(static_cast<unsigned>(std::max<std::int64_t>(1, usual)));
}

void session::cancel() {
    if (task_) task_->cancel();
}

exit_code session::end_with(const refusal& why) {
    if (!why.text.empty()) output_.error(why.text, why.code);
    return output_.end(why.code);
}

exit_code session::run(awaitable<outcome<exit_code>> command, std::function<void()> on_stop) {
    std::optional<exit_code> code;
    std::exception_ptr thrown;
    task_ = std::make_shared<cancellable_task>(loop_.get_executor());
    exit_code returned = exit_code::done;
    spawn(loop_.get_executor(), run_command(std::move(command), *this, returned), task_->slot(),
          [&](std::exception_ptr e) {
              task_->end();
              thrown = std::move(e);
              code = returned;
          });
    const auto stop = [&](exit_code why) {
        if (stopped_by_ != exit_code::done) return;
        stopped_by_ = why;
        output_.stopped(why);
        if (on_stop)
            on_stop();
        else
            cancel();
    };
    // As at SIGTERM: results that do not arrive are not worth further work.
    output_.on_broken([&] { stop(exit_code::not_finished); });
    bool signalled = false;
    asio::signal_set signals(loop_, SIGINT, SIGTERM);
    std::function<void(const boost::system::error_code&, int)> on_signal = [&](const auto& failed, int number) {
        if (failed) return;
        if (std::exchange(signalled, true)) ::_exit(static_cast<int>(exit_code::interrupted));
        stop(number == SIGINT ? exit_code::interrupted : exit_code::terminated);
        signals.async_wait(on_signal);
    };
    signals.async_wait(on_signal);
    asio::steady_timer timer(loop_);
    if (arguments_.timeout) {
        timer.expires_after(*arguments_.timeout);
        timer.async_wait([&](const boost::system::error_code& failed) {
            if (failed) return;
            output_.error("stopped: --timeout has passed", exit_code::not_finished);
            stop(exit_code::not_finished);
        });
    }
    while (!code) {
        if (output_.has_undrained()) {
            if (loop_.poll_one() > 0) continue;
            output_.drain();
        }
        loop_.run_one();
    }
    output_.on_broken({});
    task_.reset();
    if (thrown) std::rethrow_exception(thrown);
    const bool by_signal = stopped_by_ == exit_code::interrupted || stopped_by_ == exit_code::terminated;
    if (by_signal && code_at_signal_) {
        output_.stopped(*code_at_signal_);
        return *code_at_signal_;
    }
    return stopped_by_ == exit_code::done ? *code : stopped_by_;
}

}  // namespace keepstore::keepctl
