#include "volumes/directory/driver.hpp"

#include "cluster_config/key.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace keepstore::volumes {
namespace {

using cluster_config::config_reader;
using cluster_config::key_table;

const key_table<directory_options>& directory_keys() {
    using c = directory_options;
    using key = cluster_config::key_of<c>;
    static const key_table<c> table{
        key::text("Root", &c::root, "required; an existing directory, absolute path"),
        key::boolean("Serialize", &c::serialize, "one file operation at a time, for a single slow disk"),
        key::boolean("Sync", &c::sync,
                     "acknowledge a block only when it is on disk; false is faster and can lose data. This one and the "
                     "next are not known to the Go daemon, which warns about them and ignores them."),
        key::choice<direct_io>(
            "DirectIO", &c::direct,
            {.words = {{"auto", direct_io::automatic}, {"on", direct_io::on}, {"off", direct_io::off}},
             .expected = "auto, on or off"},
            "auto, on or off: write large blocks past the page cache"),
    };
    return table;
}

void check_parameters(const config_reader& in, directory_options& options) {
    if (options.root.empty())
        in.fail("Root", "missing; expected the absolute path of the directory that holds the blocks");
    if (options.root[0] != '/')
        in.fail("Root", fmt::format("found \"{}\"; expected an absolute path, starting with /", options.root));
}

std::string_view name_of(direct_io direct) {
    switch (direct) {
        case direct_io::automatic:
            return "automatic";
        case direct_io::on:
            return "on";
        case direct_io::off:
            return "off";
    }
    return "";
}

/// What would make reading or writing fail in a directory that can be opened; empty if nothing would.
std::string root_problem(const std::string& root, bool writes) {
    const auto system_text = [] { return std::generic_category().message(errno); };
    if (::access(root.c_str(), F_OK) != 0) return {};  // It cannot be opened: the check of the volume says so.
    if (::access(root.c_str(), X_OK) != 0) return "cannot be read: " + system_text();
    if (writes && ::access(root.c_str(), W_OK) != 0) return "cannot be written: " + system_text();
    return {};
}

volume_report describe_directory(const cluster_config::local_volume& v, const directory_options& options) {
    volume_report out{.lines = {
                          {"driver", "Directory " + options.root},
                          {"sync", options.sync ? "on: a block is acknowledged when it is on disk"
                                                : "off: a power cut can lose acknowledged blocks"},
                          {"direct I/O", std::string(name_of(options.direct))},
                      }};
    if (options.serialize) out.lines.emplace_back("serialize", "one file operation at a time");
    if (const auto problem = root_problem(options.root, v.allow_write || v.allow_trash); !problem.empty())
        out.problems.push_back(fmt::format("volume {}: Root {}: {}", v.uuid, options.root, problem));
    return out;
}

std::expected<directory_options, std::string> decode_directory(const cluster_config::local_volume& v,
                                                               const cluster_config::schema_node& known,
                                                               std::vector<std::string>& warnings) {
    return cluster_config::decode_parameters<directory_options>(v.driver, directory_keys(), known, check_parameters,
                                                                warnings);
}

std::expected<volume_plan, std::string> plan_directory(cluster_config::local_volume v, const plan_context& context) {
    KS_TRY(auto options, decode_directory(v, context.known, context.warnings));
    options.may_write = v.allow_write;
    return make_plan(v, options, "cannot open Root " + options.root, check_directory_volume, open_directory_volume,
                     describe_directory);
}

}  // namespace

constinit const driver directory_driver{
    .name = "Directory",
    .declare = [](cluster_config::schema_node& parameters) { declare_keys(directory_keys(), parameters); },
    .plan = plan_directory,
    .write_reference =
        [](cluster_config::reference_writer& to) {
            write_keys(directory_keys(), to, {.root = "/var/lib/keepstore"}, directory_options{});
        },
};

std::expected<directory_options, std::string> directory_options_of(const cluster_config::local_volume& v) {
    std::vector<std::string> ignored;
    return decode_directory(v, {}, ignored);
}

}  // namespace keepstore::volumes
