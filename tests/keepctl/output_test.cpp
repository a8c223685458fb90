// Results, messages, and what the exit code becomes: through the real descriptors, which each case puts back.
#include "keepctl/commands/output.hpp"

#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <array>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace keepstore;
using namespace keepstore::keepctl;
using nlohmann::json;

namespace {

/// Redirects a descriptor to a file without a name, or to what was opened, until it ends.
class redirected {
  public:
    explicit redirected(int descriptor, const char* path = nullptr)
        : descriptor_(descriptor), saved_(::dup(descriptor)) {
        file_ = unique_fd(path ? ::open(path, O_WRONLY) : ::open("/tmp", O_TMPFILE | O_RDWR, 0600));
        REQUIRE(file_);
        ::dup2(file_.get(), descriptor_);
    }
    ~redirected() { ::dup2(saved_.get(), descriptor_); }
    [[nodiscard]] std::string text() const {
        std::string out(static_cast<std::size_t>(::lseek(file_.get(), 0, SEEK_END)), '\0');
        CHECK(::pread(file_.get(), out.data(), out.size(), 0) == static_cast<ssize_t>(out.size()));
        return out;
    }
    [[nodiscard]] std::vector<json> objects() const {
        std::vector<json> out;
        std::istringstream lines(text());
        for (std::string line; std::getline(lines, line);) out.push_back(json::parse(line));
        return out;
    }

  private:
    const int descriptor_;
    const unique_fd saved_;
    unique_fd file_;
};

constexpr auto all_codes = std::to_array({exit_code::some_failed, exit_code::usage, exit_code::unreachable,
                                          exit_code::refused, exit_code::conflict, exit_code::not_finished});

}  // namespace

TEST_CASE("every error makes the exit code non-zero", "[keepctl][output]") {
    const redirected messages(STDERR_FILENO);
    for (const auto code : all_codes) {
        output out("test", output_shape::columns, true);
        out.error("something failed", code);
        out.end(exit_code::done);
        CHECK(out.finish(exit_code::done) == code);
    }
    // Without a code it is a block that failed; the worst counts.
    output out("test", output_shape::columns, false);
    out.error("a");
    CHECK(out.finish(exit_code::done) == exit_code::some_failed);
    out.error("b", exit_code::not_finished);
    out.error("c");
    CHECK(out.finish(exit_code::some_failed) == exit_code::not_finished);
    CHECK(out.finish(exit_code::usage) == exit_code::usage);
    // An error is no success without a change.
    output same("test", output_shape::columns, false);
    same.error("a");
    CHECK(same.finish(exit_code::no_change) == exit_code::some_failed);
}

TEST_CASE("notes, warnings and questions are no errors", "[keepctl][output]") {
    const redirected messages(STDERR_FILENO);
    output out("test", output_shape::columns, true);
    out.note("not shown");
    out.warn("careful");
    out.ask("really?");
    CHECK(out.finish(exit_code::done) == exit_code::done);
    CHECK(messages.text() == "keepctl: warning: careful\nkeepctl: really?\n");
}

TEST_CASE("the code of a signal counts, whatever failed because of it", "[keepctl][output]") {
    const redirected messages(STDERR_FILENO);
    for (const auto why : {exit_code::interrupted, exit_code::terminated, exit_code::not_finished}) {
        output out("test", output_shape::columns, true);
        out.stopped(why);
        out.error("cancelled", exit_code::unreachable);
        out.end(exit_code::usage);
        CHECK(out.finish(exit_code::some_failed) == why);
    }
}

TEST_CASE("the last line of JSON is the summary, with the code of the process", "[keepctl][output]") {
    const redirected messages(STDERR_FILENO);
    for (const bool ended : {false, true}) {
        const redirected results(STDOUT_FILENO);
        output out("test", output_shape::json, false);
        out.add("row", {{"text", "\xff\x01\n"}, {"number", std::int64_t{7}}, {"nothing", {}}});
        if (ended) out.end(exit_code::done, {{"rows", std::int64_t{1}}});
        out.error("late", exit_code::not_finished);
        CHECK(out.finish(exit_code::done) == exit_code::not_finished);
        const auto lines = results.objects();
        REQUIRE(lines.size() == 2);
        for (const auto& line : lines) CHECK(line["v"] == 1);
        CHECK(lines[0]["nothing"].is_null());
        CHECK(lines[1]["type"] == "summary");
        CHECK(lines[1]["command"] == "test");
        CHECK(lines[1]["exit_code"] == 6);
        CHECK(lines[1].contains("rows") == ended);
    }
}

TEST_CASE("results that do not arrive are no success", "[keepctl][output]") {
    const redirected messages(STDERR_FILENO);
    for (const auto shape : {output_shape::columns, output_shape::plain, output_shape::json}) {
        const redirected full(STDOUT_FILENO, "/dev/full");
        output out("test", shape, false);
        int told = 0;
        out.on_broken([&] { ++told; });
        out.add("row", {{"a", "b"}});
        out.flush();
        out.add("row", {{"a", "b"}});
        CHECK(out.finish(exit_code::done) == exit_code::not_finished);
        CHECK(told == 1);
    }
    CHECK(messages.text().find("standard output") != std::string::npos);
    // A reader that has left needs no message.
    std::signal(SIGPIPE, SIG_IGN);
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    ::close(ends[0]);
    const auto before = messages.text();
    {
        const unique_fd saved(::dup(STDOUT_FILENO));
        ::dup2(ends[1], STDOUT_FILENO);
        output out("test", output_shape::plain, false);
        out.add("row", {{"a", "b"}});
        CHECK(out.finish(exit_code::done) == exit_code::not_finished);
        ::dup2(saved.get(), STDOUT_FILENO);
    }
    ::close(ends[1]);
    CHECK(messages.text() == before);
}

TEST_CASE("results are written in large pieces, and before what follows them", "[keepctl][output]") {
    const redirected messages(STDERR_FILENO);
    const redirected results(STDOUT_FILENO);
    const std::string row = std::string(99, 'x') + '\n';
    output out("test", output_shape::plain, false);
    out.add("row", {{"a", row.substr(1, 98)}});
    CHECK(results.text().empty());
    CHECK(out.has_undrained());
    out.drain();
    CHECK(results.text() == row.substr(1));
    CHECK_FALSE(out.has_undrained());
    // A message comes after the results that were there before it.
    out.write("one\n");
    out.note("a message");
    CHECK(results.text().ends_with("one\n"));
    out.write("two\n");
    out.error("an error");
    CHECK(results.text().ends_with("two\n"));
    // Not more than 64 KiB are kept.
    const auto before = results.text().size();
    for (int i = 0; i < 700; ++i) out.write(row);
    CHECK(results.text().size() - before == 65'600);
    // A large one is not copied.
    out.write(std::string(100'000, 'y'));
    CHECK(results.text().size() - before == 70'000 + 100'000);
    out.write("the end\n");
    CHECK(out.finish(exit_code::done) == exit_code::some_failed);
    CHECK(
        results.text().ends_with("y"
                                 "the end\n"));
}

TEST_CASE("an empty line is between two tables, and only for people", "[keepctl][output]") {
    for (const auto& [shape, expected] :
         {std::pair(output_shape::columns, "A\n1\n2\n\nB\n3\n"), std::pair(output_shape::plain, "1\n2\n3\n")}) {
        const redirected results(STDOUT_FILENO);
        output out("ls", shape, false);
        out.add("first", {{"a", std::int64_t{1}}});
        out.add("first", {{"a", std::int64_t{2}}});
        out.add("second", {{"b", std::int64_t{3}}});
        CHECK(out.finish(exit_code::done) == exit_code::done);
        CHECK(results.text() == expected);
    }
}

TEST_CASE("text is shown as the terminal can", "[keepctl][output]") {
    CHECK(printable("a\tb\x7f\x1b[0m") == "a?b??[0m");
    CHECK(printable("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80") ==
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    CHECK(printable("gr\xc3\xbc\xc3\x9f \xe2\x82\xac", true) == "gr?? ?");
    // Not well-formed, overlong, a surrogate, past the last character, a control character of ISO 6429.
    for (const std::string bad : {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc2\x9b"})
        CHECK(printable(bad) == std::string(bad == "\xc2\x9b" ? 2 : bad.size(), '?'));
    CHECK(columns_of("gr\xc3\xbc\xc3\x9f") == 4);

    const redirected results(STDOUT_FILENO);
    output out("test", output_shape::columns, false, {.bold = true});
    out.add("row", {{"name", "\xc3\xbc"}, {"n", std::int64_t{1}}});
    out.add("row", {{"name", "abc"}, {"n", std::int64_t{22}}});
    out.say("\xc3\xbc");
    CHECK(out.finish(exit_code::done) == exit_code::done);
    CHECK(results.text() == "\x1b[1mNAME  N\x1b[0m\n\xc3\xbc     1\nabc   22\n\xc3\xbc\n");
}

TEST_CASE("times are in UTC, whatever the time zone is", "[keepctl][output]") {
    const char* const before = std::getenv("TZ");
    const std::string saved = before ? before : "";
    ::setenv("TZ", "Asia/Tokyo", 1);
    ::tzset();
    CHECK(time_text(1'600'000'000'999'999'999) == "2020-09-13T12:26:40Z");
    CHECK(time_text(-1) == "1969-12-31T23:59:59Z");
    before ? ::setenv("TZ", saved.c_str(), 1) : ::unsetenv("TZ");
    ::tzset();
}

TEST_CASE("numbers of things", "[keepctl][output]") {
    CHECK(count_of(0, "block") == "0 blocks");
    CHECK(count_of(1, "block") == "1 block");
    CHECK(count_of(1'234'567, "block") == "1,234,567 blocks");
    CHECK(count_of(1, "copy") == "1 copy");
    CHECK(count_of(2, "copy") == "2 copies");
}
