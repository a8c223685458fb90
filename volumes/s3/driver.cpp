#include "volumes/s3/driver.hpp"

#include "cluster_config/key.hpp"
#include "s3/limits.hpp"
#include "volumes/s3/access.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::volumes {
namespace {

using cluster_config::config_reader;
using cluster_config::key_table;
using std::chrono::nanoseconds;

/// The options, and parameters that are checked and have no effect.
struct s3_section : s3_options {
    bool location_constraint = false;
    bool v2_signature = false;
};

const key_table<s3_section>& s3_keys() {
    using c = s3_section;
    using key = cluster_config::key_of<c>;
    static const key_table<c> table{
        key::text("AccessKeyID", &c::access_key_id, "both empty: credentials of the environment or the machine's role"),
        key::secret("SecretAccessKey", &c::secret_access_key, ""),
        // Old names (docs/interface.md 1.12).
        key::text("AccessKey", &c::access_key_id, "").hidden(),
        key::secret("SecretKey", &c::secret_access_key, "").hidden(),
        key::text("Endpoint", &c::endpoint, "default \"\": Amazon S3 in Region"),
        key::text("Region", &c::region, "default us-east-1 with Endpoint, else required"),
        key::text("Bucket", &c::bucket, "required"),
        key::boolean("LocationConstraint", &c::location_constraint, "checked, no effect"),
        key::count(
            "IndexPageSize", &c::index_page_size,
            {.min = 0, .max = limits::s3_list_keys_max, .expected = fmt::format("1 to {}", limits::s3_list_keys_max)},
            "keys per listing request, 1 to 1000"),
        key::duration("ConnectTimeout", &c::connect_timeout, {}, "0 is the default"),
        key::duration("ReadTimeout", &c::read_timeout, {}, "0 is the default"),
        key::duration("RaceWindow", &c::race_window, {.min = nanoseconds(0)},
                      "protects against slow copies of the object store; 24h is a good value"),
        key::boolean("UnsafeDelete", &c::unsafe_delete, "allow BlobTrashLifetime 0, which can race with writers"),
        key::count("PrefixLength", &c::prefix_length, {.min = 0, .max = 32},
                   "3 stores abc... as abc/abc..., to spread the load"),
        key::boolean("UsePathStyle", &c::use_path_style, "for stores without host names per bucket"),
        key::boolean("V2Signature", &c::v2_signature, "true is refused"),
    };
    return table;
}

void check_old_name(const config_reader& in, std::string_view old_name, std::string_view new_name) {
    if (!in.find(old_name)) return;
    if (in.find("AccessKeyID") || in.find("SecretAccessKey"))
        in.fail(old_name, "found together with AccessKeyID or SecretAccessKey; expected only the new names");
    in.warn(old_name, fmt::format("old name of {}; please rename it", new_name));
}

void check_s3(const config_reader& in, s3_section& out) {
    check_old_name(in, "AccessKey", "AccessKeyID");
    check_old_name(in, "SecretKey", "SecretAccessKey");
    if (out.bucket.empty()) in.fail("Bucket", "missing; expected the name of the bucket");
    if (out.endpoint.empty() && out.region.empty())
        in.fail("Region", "missing, and Endpoint too; expected at least one of them");
    if (out.v2_signature) in.fail("V2Signature", "found true; V2Signature is not supported, remove the key");
    if (out.access_key_id.empty() != out.secret_access_key.empty())
        in.fail(out.access_key_id.empty() ? "AccessKeyID" : "SecretAccessKey",
                "missing; expected both AccessKeyID and SecretAccessKey, or neither");
    const s3_options defaults;
    if (out.index_page_size == 0) out.index_page_size = defaults.index_page_size;
    if (out.connect_timeout <= nanoseconds(0)) out.connect_timeout = defaults.connect_timeout;
    if (out.read_timeout <= nanoseconds(0)) out.read_timeout = defaults.read_timeout;
    if (out.region.empty()) out.region = "us-east-1";
}

std::string probe_command(const std::string& uuid) {
    return "keepstore probe-s3 -volume " + uuid;
}

std::expected<s3_options, std::string> decode_s3(const cluster_config::local_volume& v, const plan_context& context) {
    KS_TRY(auto options, cluster_config::decode_parameters<s3_section>(v.driver, s3_keys(), context.known, check_s3,
                                                                       context.warnings));
    options.protect_for = context.policy.blob_signing_ttl;
    options.trash_lifetime = context.policy.blob_trash_lifetime;
    options.writable = v.allow_write;
    options.diagnosis = probe_command(v.uuid);
    return std::move(options);
}

volume_report describe_s3(const cluster_config::local_volume& v, const s3_options& options) {
    volume_report out{.lines = {{"driver", fmt::format("S3 bucket {} in {}{}", options.bucket, options.region,
                                                       options.endpoint.empty() ? "" : " at " + options.endpoint)}}};
    const auto via = s3::proxy_of(options);
    if (via && !via->empty()) out.lines.emplace_back("proxy", *via + ", of the environment");
    if (const auto authorities = options.env("AWS_CA_BUNDLE"); authorities && options.ca_file.empty())
        out.lines.emplace_back("AWS_CA_BUNDLE", *authorities);
    out.lines.emplace_back("try it with", probe_command(v.uuid));
    return out;
}

std::expected<volume_plan, std::string> plan_s3(cluster_config::local_volume v, const plan_context& context) {
    KS_TRY(const s3_options options, decode_s3(v, context));
    if (const auto via = s3::proxy_of(options); !via)
        return std::unexpected(fmt::format("Volumes.{}: environment variable {}", v.uuid, via.error().text));
    return make_plan(v, options, "cannot use Bucket " + options.bucket, check_s3_volume, open_s3_volume, describe_s3);
}

void write_s3_reference(cluster_config::reference_writer& to) {
    s3_section example;
    example.endpoint = "https://s3.example";
    example.region = "us-east-1";
    example.bucket = "example-keep";
    write_keys(s3_keys(), to, example);
}

}  // namespace

constinit const driver s3_driver{
    .name = "S3",
    .declare = [](cluster_config::schema_node& parameters) { declare_keys(s3_keys(), parameters); },
    .plan = plan_s3,
    .write_reference = write_s3_reference,
};

std::expected<s3_options, std::string> s3_options_of(const cluster_config::local_volume& v,
                                                     const cluster_config::collections_config& policy) {
    std::vector<std::string> ignored;
    return decode_s3(v, {.policy = policy, .known = {}, .warnings = ignored});
}

}  // namespace keepstore::volumes
