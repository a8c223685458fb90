#include "s3/credentials/profile_file.hpp"

#include <catch2/catch.hpp>

using namespace keepstore::s3;

TEST_CASE("the two shared files name their profiles differently", "[s3][credentials]") {
    const auto credentials = parse_profiles(
        "# comment\n[default]\naws_access_key_id = A\nAWS_SECRET_ACCESS_KEY=S/with+=\n\n[keep]\naws_access_key_id=B ; "
        "why\n",
        profile_file::credentials);
    CHECK(credentials.at("default").at("aws_access_key_id") == "A");
    CHECK(credentials.at("default").at("aws_secret_access_key") == "S/with+=");
    CHECK(credentials.at("keep").at("aws_access_key_id") == "B");

    const auto config = parse_profiles(
        "[default]\r\nregion = eu-west-1\r\n[profile keep]\nrole_arn = arn:aws:iam::1:role/r\n[ profile \"two words\" "
        "]\nx=1\n"
        "[keep]\nx=2\n[sso-session s]\nx=3\n[profilekeep]\nx=4\n[services t]\ns3 =\n  endpoint_url = http://x\n",
        profile_file::config);
    CHECK(config.size() == 3);
    CHECK(config.at("default").at("region") == "eu-west-1");
    CHECK(config.at("keep").at("role_arn") == "arn:aws:iam::1:role/r");
    CHECK(config.at("keep").count("x") == 0);
    CHECK(config.at("two words").at("x") == "1");
}

TEST_CASE("nested settings and malformed lines are skipped", "[s3][credentials]") {
    const auto got = parse_profiles(
        "a=outside\n[default]\ns3 =\n  max_concurrent_requests = 20\nnonsense\n=x\nb = # none\n[broken\nc=1\n",
        profile_file::credentials);
    REQUIRE(got.contains("default"));
    CHECK(got.at("default").size() == 2);
    CHECK(got.at("default").at("s3").empty());
    CHECK(parse_profiles("", profile_file::config).empty());
    CHECK(parse_profiles("\xef\xbb\xbf[default]\nk=v", profile_file::config).at("default").at("k") == "v");
}

TEST_CASE("the credentials file takes precedence over the config file", "[s3][credentials]") {
    const auto merged = merge_profiles({{"p", {{"region", "r"}, {"aws_access_key_id", "old"}}}},
                                       {{"p", {{"aws_access_key_id", "new"}}}, {"q", {}}});
    CHECK(merged.at("p").at("aws_access_key_id") == "new");
    CHECK(merged.at("p").at("region") == "r");
    CHECK(merged.contains("q"));
}
