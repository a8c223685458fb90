#include "cluster_config/decode.hpp"
#include "cluster_config/error.hpp"

#include <fmt/format.h>

namespace keepstore::cluster_config {
namespace {

directory_parameters decode_directory(const config_reader& in) {
    directory_parameters out;
    in.read("Root", out.root);
    in.read("Serialize", out.serialize);
    in.read("Sync", out.sync);
    if (out.root.empty()) in.fail("Root", "missing; expected the absolute path of the directory that holds the blocks");
    if (out.root[0] != '/')
        in.fail("Root", fmt::format("found \"{}\"; expected an absolute path, starting with /", out.root));
    if (const auto* direct = in.find("DirectIO")) {
        // on and off without quotes are booleans in YAML 1.1.
        if (direct->type == config_value::kind::boolean) {
            out.direct = direct->boolean ? direct_io::on : direct_io::off;
        } else {
            std::string word;
            in.read("DirectIO", word);
            if (word == "auto")
                out.direct = direct_io::automatic;
            else if (word == "on")
                out.direct = direct_io::on;
            else if (word == "off")
                out.direct = direct_io::off;
            else
                in.fail("DirectIO", fmt::format("found \"{}\"; expected auto, on or off", word));
        }
    }
    return out;
}

void move_legacy_key(const config_reader& in, std::string_view old_name, std::string_view new_name, std::string& out) {
    if (!in.find(old_name)) return;
    if (in.find("AccessKeyID") || in.find("SecretAccessKey"))
        in.fail(old_name, "found together with AccessKeyID or SecretAccessKey; expected only the new names");
    in.warn(old_name, fmt::format("old name of {}; please rename it", new_name));
    in.read(old_name, out);
}

s3_parameters decode_s3(const config_reader& in) {
    s3_parameters out;
    in.read("AccessKeyID", out.access_key_id);
    in.read("SecretAccessKey", out.secret_access_key);
    move_legacy_key(in, "AccessKey", "AccessKeyID", out.access_key_id);
    move_legacy_key(in, "SecretKey", "SecretAccessKey", out.secret_access_key);
    in.read("Endpoint", out.endpoint);
    in.read("Region", out.region);
    in.read("Bucket", out.bucket);
    in.read("LocationConstraint", out.location_constraint);
    in.read("IndexPageSize", out.index_page_size);
    in.read("ConnectTimeout", out.connect_timeout);
    in.read("ReadTimeout", out.read_timeout);
    in.read("RaceWindow", out.race_window);
    in.read("UnsafeDelete", out.unsafe_delete);
    in.read("PrefixLength", out.prefix_length);
    in.read("UsePathStyle", out.use_path_style);
    bool v2_signature = false;
    in.read("V2Signature", v2_signature);

    if (out.bucket.empty()) in.fail("Bucket", "missing; expected the name of the bucket");
    if (out.endpoint.empty() && out.region.empty())
        in.fail("Region", "missing, and Endpoint too; expected at least one of them");
    if (v2_signature) in.fail("V2Signature", "found true; V2Signature is not supported, remove the key");
    if (out.access_key_id.empty() != out.secret_access_key.empty())
        in.fail(out.access_key_id.empty() ? "AccessKeyID" : "SecretAccessKey",
                "missing; expected both AccessKeyID and SecretAccessKey, or neither");
    if (out.race_window < nanoseconds::zero()) in.fail("RaceWindow", "found a negative duration; expected 0 or more");
    if (out.prefix_length < 0 || out.prefix_length > 32)
        in.fail("PrefixLength", fmt::format("found {}; expected 0 to 32", out.prefix_length));
    if (out.index_page_size < 0 || out.index_page_size > 1000)
        in.fail("IndexPageSize", fmt::format("found {}; expected 1 to 1000", out.index_page_size));
    if (out.index_page_size == 0) out.index_page_size = s3_parameters().index_page_size;
    if (out.connect_timeout <= nanoseconds::zero()) out.connect_timeout = s3_parameters().connect_timeout;
    if (out.read_timeout <= nanoseconds::zero()) out.read_timeout = s3_parameters().read_timeout;
    if (out.region.empty()) out.region = "us-east-1";
    return out;
}

}  // namespace

driver_parameters decode_driver(const std::string& driver, const config_value* parameters,
                                const std::string& volume_path, config_context& context) {
    const config_reader in(parameters, volume_path + ".DriverParameters", context);
    try {
        if (driver == "Directory") return decode_directory(in);
        if (driver == "S3") return decode_s3(in);
        const std::string_view why = driver == "Azure" ? "Azure volumes are not supported" : "no such driver";
        context.fail_text(volume_path + ".Driver", 0,
                          fmt::format("found \"{}\" ({}); expected Directory or S3", driver, why));
    } catch (const config_error& e) {
        return driver_problem{e.what()};
    }
}

}  // namespace keepstore::cluster_config
