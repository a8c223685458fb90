#include "daemon/flags.hpp"
#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace keepstore;
using daemon::command_line;

namespace {
command_line parse(std::vector<std::string> arguments, std::string_view config_default = {}) {
    return daemon::parse_command_line("keepstore", arguments, config_default);
}
}  // namespace

TEST_CASE("flags follow Go's syntax", "[daemon][flags]") {
    CHECK(parse({}).config_path == "/etc/arvados/config.yml");
    CHECK(parse({}, "/x.yml").config_path == "/x.yml");
    CHECK(parse({"-config", "/a"}, "/x.yml").config_path == "/a");
    CHECK(parse({"--config=/a"}).config_path == "/a");
    CHECK(parse({"-config=-"}).config_path == "-");
    CHECK(parse({"-config", "-"}).config_path == "-");
    CHECK(parse({"-config="}).config_path.empty());
    CHECK(parse({"-config", "/a", "-config", "/b"}).config_path == "/b");
    CHECK(parse({"-skip-legacy"}).skip_legacy);
    CHECK_FALSE(parse({"-skip-legacy=false"}).skip_legacy);
    CHECK(parse({"--check"}).todo == command_line::action::check);
    CHECK(parse({"-check=F"}).todo == command_line::action::serve);
    CHECK(parse({"--"}).todo == command_line::action::serve);
    CHECK(parse({"-pprof", ":6060"}).warnings.size() == 1);
    CHECK(parse({"-legacy-keepweb-config=/x"}).warnings.size() == 1);
    CHECK(parse({"-legacy-keepstore-config="}).warnings.empty());
}

TEST_CASE("usage errors go to stderr and exit with 2", "[daemon][flags]") {
    struct row {
        std::vector<std::string> arguments;
        const char* text;
    };
    const row rows[] = {
        {{"-nope"}, "flag provided but not defined: -nope"},
        {{"-config"}, "flag needs an argument: -config"},
        {{"---config"}, "bad flag syntax: ---config"},
        {{"-=x"}, "bad flag syntax: -=x"},
        {{"-version=maybe"}, "invalid boolean value \"maybe\" for -version: parse error"},
        {{"stray"}, "unrecognized command line arguments: [stray]"},
        {{"-check", "false", "x"}, "unrecognized command line arguments: [false x]"},
        {{"--", "-config"}, "unrecognized command line arguments: [-config]"},
        {{"-"}, "unrecognized command line arguments: [-]"},
    };
    for (const auto& row : rows) {
        const auto got = parse(row.arguments);
        CHECK(got.todo == command_line::action::leave);
        CHECK(got.exit_code == 2);
        CHECK(got.output.empty());
        CHECK_THAT(got.errors, Catch::Contains(row.text) && Catch::EndsWith(" (try -help)\n"));
    }
}

TEST_CASE("help goes to stderr, the version to stdout, both exit with 0", "[daemon][flags]") {
    for (const auto* flag : {"-help", "--help", "-h"}) {
        const auto help = parse({flag});
        CHECK(help.todo == command_line::action::leave);
        CHECK(help.exit_code == 0);
        CHECK(help.output.empty());
        CHECK_THAT(help.errors, Catch::StartsWith("Usage: keepstore") && Catch::Contains("-config value"));
    }
    const auto version = parse({"-version"});
    CHECK(version.exit_code == 0);
    CHECK(version.errors.empty());
    CHECK_THAT(version.output, Catch::Matches("keepstore [0-9.]+ \\(C\\+\\+ .*\\)\n"));
}

TEST_CASE("an old keepstore.yml causes a warning, not a migration", "[daemon][flags]") {
    const test::temp_dir dir;
    const std::string file = dir.path() / "keepstore.yml";
    CHECK(daemon::legacy_file_warning(parse({"-legacy-keepstore-config", file})).empty());
    std::ofstream(file) << "Listen: :25107\n";
    CHECK_THAT(daemon::legacy_file_warning(parse({"-legacy-keepstore-config", file})), Catch::StartsWith(file + ":"));
    CHECK(daemon::legacy_file_warning(parse({"-legacy-keepstore-config", file, "-skip-legacy"})).empty());
}
