#include "cluster_config/credentials.hpp"

#include "cluster_config/limits.hpp"
#include "tests/cluster_config/sample_config.hpp"
#include "tests/support/temp_dir.hpp"

#include <sys/stat.h>

#include <fstream>

using namespace keepstore;
using namespace keepstore::cluster_config;
using namespace keepstore::test;

namespace {

const std::string token_a(36, 'a');
const std::string bare = "Clusters:\n zzzzz:\n  Volumes: {}\n";

struct folder {
    temp_dir dir;

    void write(const std::string& name, const std::string& content, ::mode_t mode = 0400) const {
        const auto path = dir.path() / name;
        std::ofstream(path, std::ios::binary) << content;
        ::chmod(path.c_str(), mode);
    }
    [[nodiscard]] std::expected<config, std::string> parse(const std::string& text) const {
        const auto files = credential_folder::open(dir.path().string());
        REQUIRE(files);
        return parse_config(text, "/c.yml", {}, *files);
    }
    [[nodiscard]] config load(const std::string& text) const {
        auto loaded = parse(text);
        INFO((loaded ? std::string() : loaded.error()));
        REQUIRE(loaded);
        return std::move(*loaded);
    }
    [[nodiscard]] std::string error_of(const std::string& text) const {
        const auto loaded = parse(text);
        return loaded ? "loaded" : loaded.error();
    }
};

std::string origin_of(const config& c, const std::string& key) {
    const auto found = std::ranges::find(c.secrets, key, &secret_origin::key);
    return found == c.secrets.end() ? "not listed" : found->origin;
}

}  // namespace

TEST_CASE("keys that the configuration leaves out come from files", "[config][credentials]") {
    const folder f;
    f.write("SystemRootToken", token_a);
    f.write("ManagementToken", std::string(40, 'b') + "\n");  // As echo writes it.
    f.write("BlobSigningKey", std::string(50, 'c') + "\r\n");
    f.write("TLS.Certificate", "-----BEGIN\nCERTIFICATE-----\n");
    f.write("TLS.Key", "-----BEGIN\nKEY-----\n");
    const config c = f.load("Clusters:\n zzzzz:\n  Volumes: {}\n  ManagementToken: \"\"\n");
    CHECK(c.cluster.system_root_token == token_a);
    CHECK(c.cluster.management_token == std::string(40, 'b'));
    CHECK(c.cluster.collections.blob_signing_key == std::string(50, 'c'));
    CHECK(c.cluster.tls.certificate == (f.dir.path() / "TLS.Certificate").string());
    CHECK(c.cluster.tls.key == (f.dir.path() / "TLS.Key").string());
    CHECK(origin_of(c, "Collections.BlobSigningKey") == "credential " + (f.dir.path() / "BlobSigningKey").string());
}

TEST_CASE("a key of the configuration wins over the file, with a warning", "[config][credentials]") {
    const folder f;
    f.write("ManagementToken", std::string(40, 'x'));
    const config c = f.load(sample_config(collections()));
    CHECK(c.cluster.management_token == std::string(36, 'b'));
    CHECK(warned(c, "ManagementToken is present, but will not be used: the configuration has ManagementToken"));
    CHECK_FALSE(warned(c, "xxxx"));
    CHECK(origin_of(c, "ManagementToken") == "configuration");
    CHECK(origin_of(c, "TLS.Key").empty());
}

TEST_CASE("parameters of a volume come from files with its UUID", "[config][credentials]") {
    const folder f;
    const std::string uuid = "zzzzz-nyw5e-000000000000000";
    f.write(uuid + ".SecretAccessKey", "se/cr+et");
    f.write(uuid + ".AccessKeyID", "new");
    const config c =
        f.load(sample_config(collections(), volume("Driver: S3, DriverParameters: {Bucket: b, AccessKeyID: old}")));
    const auto& parameters = first_volume(c).driver.parameters;
    CHECK(parameters.find("SecretAccessKey")->text == "se/cr+et");
    CHECK(parameters.find("AccessKeyID")->text == "old");
    CHECK(warned(c, "AccessKeyID is present, but will not be used"));
    CHECK(origin_of(c, "Volumes." + uuid + ".SecretAccessKey").starts_with("credential /"));
    CHECK(origin_of(c, "Volumes." + uuid + ".AccessKeyID") == "configuration");
}

TEST_CASE("a file without a key is a warning that lists the names", "[config][credentials]") {
    const folder f;
    for (const std::string name : {"SystemRoottoken", "zzzzz-nyw5e-999999999999999.SecretAccessKey", "zzzzz."})
        f.write(name, token_a);
    const config c = f.load(sample_config(collections(), volume(directory)));
    CHECK(std::ranges::count_if(c.warnings, [](const std::string& w) {
              return w.find("no key has this name; expected SystemRootToken, ") != w.npos;
          }) == 3);
}

TEST_CASE("a broken file is an error that says what to do, and shows nothing of it", "[config][credentials]") {
    const folder f;
    const auto error = [&](const std::string& content, ::mode_t mode = 0400) {
        f.write("BlobSigningKey", content, mode);
        const std::string text = f.error_of(bare);
        CHECK(text.find("cccc") == text.npos);
        ::unlink((f.dir.path() / "BlobSigningKey").c_str());
        return text;
    };
    const std::string key(40, 'c');
    CHECK_THAT(error(""), Catch::EndsWith("BlobSigningKey: empty; write the secret into it, or remove the file"));
    CHECK_THAT(error("\n"), Catch::Contains("empty;"));
    CHECK_THAT(error(key + "\n" + key), Catch::Contains("more than one line; expected the secret on one line"));
    CHECK_THAT(error(key + "\n\n"), Catch::Contains("more than one line"));
    CHECK_THAT(error(key + " "), Catch::Contains("has spaces or control characters"));
    CHECK_THAT(error(key + "-"), Catch::Contains("found other characters than letters and digits") &&
                                     Catch::StartsWith("credential " + f.dir.path().string()));
    CHECK_THAT(error(key, 0444), Catch::Contains("every user can read it (mode 444); run chmod 600"));
    CHECK_THAT(error(std::string(limits::credential_bytes_max + 1, 'c')), Catch::Contains("larger than 64"));
    CHECK(error(key, 0440) == "loaded");
    f.write("BlobSigningKey", key);
    f.write("TLS.Certificate", "a certificate is no secret", 0444);
    CHECK(f.error_of(bare) == "loaded");
    f.write("TLS.Key", "a key is one", 0444);
    CHECK_THAT(f.error_of(bare), Catch::Contains("TLS.Key: every user can read it"));
    ::unlink((f.dir.path() / "TLS.Key").c_str());
    std::filesystem::create_directory(f.dir.path() / "TLS.Key");
    CHECK_THAT(f.error_of(bare), Catch::Contains("TLS.Key: not a file; expected a file that contains the secret"));
}

TEST_CASE("without the key the error names the file that could have it", "[config][credentials]") {
    CHECK_THAT(error_of(bare), Catch::Contains("or in the credential BlobSigningKey (LoadCredential=)"));
}

TEST_CASE("a folder that cannot be read is an error", "[config][credentials]") {
    const auto none = credential_folder::open("/nonexistent/credentials");
    REQUIRE_FALSE(none);
    CHECK_THAT(none.error(), Catch::Contains("CREDENTIALS_DIRECTORY: /nonexistent/credentials: No such file"));
    CHECK(credential_folder::open("")->names().empty());
}

TEST_CASE("links into a hidden folder are files, and hidden names are none", "[config][credentials]") {
    const folder f;
    std::filesystem::create_directory(f.dir.path() / "..data");
    f.write("..data/BlobSigningKey", token_a);
    std::filesystem::create_symlink("..data/BlobSigningKey", f.dir.path() / "BlobSigningKey");
    const config c = f.load(bare);
    CHECK(c.cluster.collections.blob_signing_key == token_a);
    CHECK_FALSE(warned(c, "..data"));
}
