// Tries a bucket, a container or servers step by step, and says what is wrong and what to do.

#include "s3/probe.hpp"
#include "azure/probe.hpp"
#include "base/join.hpp"
#include "base/when_all.hpp"
#include "digest/md5.hpp"
#include "keepctl/cluster/put_bodies.hpp"
#include "keepctl/cluster/server_status.hpp"
#include "keepctl/commands/commands.hpp"
#include "reports/probe_targets.hpp"
#include "volumes/azure/access.hpp"
#include "volumes/s3/access.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

namespace keepstore::keepctl {
namespace {

using probe_result = s3::probe_line::outcome;

// More than this between the clocks, and signatures expire early or late.
constexpr std::chrono::seconds clock_difference_max{60};

std::string_view result_name(probe_result r) {
    return r == probe_result::ok ? "ok" : r == probe_result::note ? "note" : "FAILED";
}

/// Collects the steps of one server or bucket, in order.
class probe_steps {
  public:
    explicit probe_steps(std::string where) : where_(std::move(where)) {}
    void add(s3::probe_line line) {
        failed_ = failed_ || line.result == probe_result::failed;
        lines_.push_back(std::move(line));
    }
    /// \returns whether the step succeeded.
    template <class T>
    bool add(std::string step, const result<T>& outcome, std::string text) {
        add({outcome ? probe_result::ok : probe_result::failed, std::move(step),
             outcome ? std::move(text) : outcome.error().text});
        return outcome.has_value();
    }
    void print(output& out) const {
        for (const auto& line : lines_) {
            out.add(
                "step",
                {{"place", where_}, {"step", line.step}, {"result", result_name(line.result)}, {"text", line.text}});
        }
    }
    [[nodiscard]] bool failed() const noexcept { return failed_; }
    [[nodiscard]] bool reached() const noexcept { return reached_; }
    void set_reached() noexcept { reached_ = true; }

  private:
    const std::string where_;
    std::vector<s3::probe_line> lines_;
    bool failed_ = false;
    bool reached_ = false;
};

/// A block that nothing else has.
const_slice random_block() {
    std::array<std::byte, 64> bytes{};
    static_cast<void>(::getrandom(bytes.data(), bytes.size(), 0));
    return copy_to_heap_slice(bytes);
}

awaitable<result<void>> admin_step(const keep_server& server, std::string method, std::string target, deadline until) {
    const std::string what = method;
    KS_CO_TRY(const auto response,
              co_await server.request(std::move(method), std::move(target), server.access().token, until));
    if (response.status != 200) co_return std::unexpected(server.refused(response, what));
    co_return success();
}

awaitable<void> probe_server(const keep_server& server, probe_steps& steps, deadline until) {
    const auto status = co_await ask_status(server, until);
    if (!status.reachable) co_return steps.add({probe_result::failed, "connection", status.problem});
    steps.set_reached();
    steps.add({probe_result::ok, "connection", "a keepstore responds"});
    if (status.clock_ahead) {
        const bool near = std::chrono::abs(*status.clock_ahead) <= clock_difference_max;
        steps.add({near ? probe_result::ok : probe_result::failed, "clock",
                   near ? "agrees with this host's"
                        : fmt::format("is {} s ahead of this host's; signatures depend on both",
                                      status.clock_ahead->count())});
    }
    if (!status.problem.empty())
        steps.add({probe_result::failed, "token", status.problem});
    else
        steps.add({probe_result::ok, "token", "is the SystemRootToken; " + count_of(status.mounts.size(), "mount")});
    if (status.ready && !*status.ready) steps.add({probe_result::failed, "ready", "no: " + join(status.reasons, "; ")});
    if (std::ranges::none_of(status.mounts, &mount_info::allow_write))
        co_return steps.add({probe_result::note, "put", "no mount may be written"});

    const auto block = random_block();
    const auto name = digest::md5_of(block.bytes);
    memory_body body(block);
    const auto stored = co_await server.put(name, body, {}, until);
    if (!steps.add("put", stored, "a random block of 64 bytes was stored")) co_return;
    auto incoming = co_await server.get(name, block.size(), until);
    result<std::string> read = std::string();
    if (incoming)
        read = co_await incoming->response.read_all(block.size());
    else
        read = std::unexpected(std::move(incoming.error()));
    if (read && !std::ranges::equal(std::as_bytes(std::span(*read)), block.bytes))
        read = fail(errc::checksum_mismatch, "other bytes came back");
    steps.add("get", read, "the same bytes came back");
    steps.add("head", co_await server.head(name, block.size(), until), "the server verified its copy");
    steps.add("touch", co_await admin_step(server, "TOUCH", name.hex(), until), "its time was set");
    steps.add("trash", co_await admin_step(server, "DELETE", name.hex(), until),
              "accepted; the block stays until BlobSigningTTL is over");
}

exit_code end_of_probe(session& s, const std::vector<probe_steps>& all) {
    for (const auto& steps : all) steps.print(s.out());
    const auto reached = std::ranges::count_if(all, &probe_steps::reached);
    const auto code = reached == 0                                     ? exit_code::unreachable
                      : std::ranges::any_of(all, &probe_steps::failed) ? exit_code::some_failed
                                                                       : exit_code::done;
    return s.out().end(code);
}

awaitable<outcome<exit_code>> probe_servers(session& s, const std::vector<keep_server>& servers) {
    std::vector<probe_steps> all;
    for (const auto& server : servers) all.emplace_back(server.url());
    std::vector<awaitable<void>> calls;
    for (std::size_t i = 0; i < servers.size(); ++i)
        calls.push_back(probe_server(servers[i], all[i], deadline::in(limits::cloud_probe_command_timeout)));
    if (co_await when_all(std::move(calls))) co_return exit_code::interrupted;
    co_return end_of_probe(s, all);
}

/// Probes a bucket or container by `probe`, with the access that the options of the target give.
template <class Target, class Access, class Probe>
awaitable<outcome<exit_code>> probe_storage(session& s, std::string name, const Target& target, result<Access> access,
                                            Probe probe) {
    std::vector<probe_steps> all;
    auto& steps = all.emplace_back(std::move(name));
    for (const auto& note : target.notes) steps.add({probe_result::note, "configuration", note});
    if (access) {
        steps.set_reached();
        const auto extent = target.writes ? cloud::probe_extent::read_and_write : cloud::probe_extent::read_only;
        static_cast<void>(co_await probe(
            std::move(access->client), std::move(access->keys), extent,
            [&](const cloud::probe_line& line) { steps.add(line); },
            deadline::in(limits::cloud_probe_command_timeout)));
    } else {
        steps.add({probe_result::failed, "configuration", access.error().text});
    }
    co_return end_of_probe(s, all);
}

exit_code probe_bucket_place(session& s, const place& what, const reports::probe_target& target) {
    return s.run(probe_storage(s, what.text, target, volumes::s3::make_access(target.options), s3::probe_bucket));
}

}  // namespace

outcome<exit_code> run_probe(session& s) {
    const place what = s.given().at.value_or(place{.text = "cluster", .where = cluster_place{}});
    if (const auto* const bucket = std::get_if<bucket_place>(&what.where)) {
        const auto target = reports::probe_target_of_bucket(bucket_options(*bucket, {}, true));
        return probe_bucket_place(s, what, target);
    }
    if (const auto* const volume = std::get_if<volume_place>(&what.where)) {
        if (!s.config()) return refuse(exit_code::usage, what.text + ": needs a configuration; give one with --config");
        if (const auto container = reports::find_container(*s.config(), volume->uuid)) {
            if (!*container) return refuse(exit_code::usage, container->error());
            const auto& target = **container;
            return s.run(probe_storage(s, what.text, target, volumes::azure::make_access(target.options),
                                       azure::probe_container));
        }
        const auto targets = reports::choose_probe_targets(*s.config(), {}, std::span(&volume->uuid, 1));
        if (!targets) return refuse(exit_code::usage, targets.error());
        return probe_bucket_place(s, what, targets->front());
    }
    if (std::holds_alternative<directory_place>(what.where))
        return refuse(exit_code::usage,
                      "probe tries servers, buckets and containers; a directory is looked at with ls --place");
    if (const auto* const one = std::get_if<server_place>(&what.where)) {
        const auto context = s.context();
        std::vector<keep_server> server;
        server.emplace_back(context.client, one->server, identity_of(net::to_string(one->server.to) + "/"),
                            context.access, context.loops);
        return s.run(probe_servers(s, server));
    }
    KS_TRY(const auto servers, s.servers());
    return s.run(probe_servers(s, servers));
}

}  // namespace keepstore::keepctl
