#include "base/error.hpp"

#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <memory>

using namespace keepstore;
using keepstore::test::run;

namespace {

result<int> half(int n) {
    if (n % 2 != 0) return fail(errc::bad_request, "odd");
    return n / 2;
}
result<void> must_be_small(int n) {
    if (n > 100) return fail(errc::too_large);
    return success();
}
awaitable<result<int>> half_later(int n) {
    co_return half(n);
}

result<int> quarter(int n) {
    KS_CHECK(must_be_small(n));
    KS_TRY(const int once, half(n));
    KS_TRY(const int twice, half(once));
    return twice;
}
awaitable<result<int>> quarter_later(int n) {
    KS_CO_CHECK(must_be_small(n));
    KS_CO_TRY(const int once, co_await half_later(n));
    KS_CO_TRY(const int twice, co_await half_later(once));
    co_return twice;
}
result<std::unique_ptr<int>> moved_on(result<std::unique_ptr<int>> from) {
    KS_TRY(auto p, std::move(from));
    ++*p;
    return p;
}
// With more arguments than one, as the preprocessor counts.
result<std::pair<int, int>> pair_of(int n) {
    KS_TRY(const auto out, (result<std::pair<int, int>>(std::pair<int, int>(n, n))));
    return out;
}
std::expected<int, error> if_positive(int n, int& calls) {
    if (n > 0) KS_CHECK(must_be_small(n));
    ++calls;
    return n;
}

}  // namespace

TEST_CASE("KS_TRY goes on with the value, or returns the error with its text", "[base][error]") {
    CHECK(quarter(8) == 2);
    CHECK(quarter(7).error() == errc::bad_request);
    CHECK(quarter(6).error().text == "odd");
    CHECK(quarter(104).error() == errc::too_large);
    CHECK(run(quarter_later(8)) == 2);
    CHECK(run(quarter_later(6)).error().text == "odd");
    CHECK(run(quarter_later(104)).error() == errc::too_large);
}

TEST_CASE("KS_TRY moves the value and takes expressions with commas", "[base][error]") {
    const auto moved = moved_on(std::make_unique<int>(1));
    REQUIRE(moved);
    CHECK(**moved == 2);
    CHECK(moved_on(fail(errc::not_found)).error() == errc::not_found);
    CHECK(pair_of(3) == std::pair(3, 3));
}

TEST_CASE("KS_CHECK under an if is one statement", "[base][error]") {
    int calls = 0;
    CHECK(if_positive(-200, calls) == -200);
    CHECK(if_positive(200, calls).error() == errc::too_large);
    CHECK(if_positive(2, calls) == 2);
    CHECK(calls == 2);
}

TEST_CASE("errno values become what the caller can do about them", "[base][error]") {
    CHECK(error_from_errno(ENOENT, "open") == errc::not_found);
    CHECK(error_from_errno(ENOTDIR, "open") == errc::not_found);
    CHECK(error_from_errno(ENOSPC, "write") == errc::no_space);
    CHECK(error_from_errno(EDQUOT, "write") == errc::no_space);
    CHECK(error_from_errno(EMFILE, "open") == errc::unavailable);
    CHECK(error_from_errno(ENFILE, "open") == errc::unavailable);
    CHECK(error_from_errno(EMFILE, "open").text == "too many open files");
    CHECK(error_from_errno(EIO, "read") == errc::io_error);
    CHECK(error_from_errno(EIO, "read").text == "read: Input/output error");
}
