// What S3 volumes make of each state that a bucket can be in (docs/interface.md 4.7, 8.4): blocks, markers and trash
// of several ages, as races, crashes and older daemons leave them.
#include "tests/volumes/s3/s3_fixture.hpp"

#include <catch2/catch.hpp>

namespace keepstore::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using age = std::optional<nanoseconds>;

constexpr age none = std::nullopt;

struct state_row {
    const char* what;
    age block, recent, trash;
    bool can_get, can_trash, can_get_after_trash, can_untrash, trash_is_kept, is_fresh_after;
};

// Ages of X, recent/X, trash/X; get, trash, get after trash, untrash, trash left after emptying, fresh mtime after that
// (which only the rows that say so promise).
const std::vector<state_row> rows{
    {"nothing there", none, none, none, false, false, false, false, false, false},
    {"old-format block: trash only makes the marker", hours(48), none, none, true, true, true, false, false, false},
    {"old enough to be trashed", hours(24), hours(2), none, true, true, false, false, false, false},
    {"too new to be trashed", hours(24), minutes(30), none, true, true, true, false, false, false},
    {"trashed, then written and touched again", hours(24), minutes(3), minutes(2), true, true, true, true, true, false},
    {"in the trash already, about to be deleted", hours(24), hours(12), minutes(59), true, false, true, true, true,
     false},
    {"in the trash already, due within the race window", hours(24), hours(12), minutes(61), true, false, true, true,
     false, false},
    {"trashed just when it was touched", hours(24), hours(12), hours(12), true, false, true, true, true, true},
    {"written again after it was trashed", seconds(1), seconds(1), hours(12), true, true, true, true, false, false},
    {"trashed long ago, block reappeared", hours(24), hours(24), hours(12), true, false, true, true, false, false},
    {"in the trash", none, hours(12), minutes(1), false, false, false, true, true, false},
    {"in the trash, about to be deleted", none, hours(12), minutes(59), false, false, false, true, true, false},
    {"in the trash, due", none, hours(12), hours(2), false, false, false, true, false, false},
    {"wrongly trashed in a race, before it is due", none, minutes(30), minutes(29), true, false, true, true, true,
     false},
    {"wrongly trashed in a race, due", none, minutes(90), minutes(89), true, false, true, true, true, false},
    {"in the trash without a marker", none, none, minutes(1), false, false, false, true, true, true},
};

// One block in a row's state, for one of the questions.
struct sample {
    md5_digest name;
    bytes content = random_bytes(20);
};

class bucket_states {
  public:
    explicit bucket_states(std::size_t prefix_length)
        : names_(prefix_length), fixture_([=](volumes::s3_options& o) {
              o.prefix_length = prefix_length;
              o.protect_for = hours(1);
              o.trash_lifetime = hours(1);
              o.race_window = minutes(5);
          }) {}

    s3_fixture& fixture() { return fixture_; }
    volumes::volume& volume() { return *fixture_.volume; }
    [[nodiscard]] const volumes::s3::object_names& names() const { return names_; }

    sample make(const state_row& row) {
        sample s;
        s.name = md5_name(s.content);
        make_object(names_.block(s.name), s.content, row.block);
        make_object(names_.recent(s.name), {}, row.recent);
        make_object(names_.trash(s.name), s.content, row.trash);
        return s;
    }

    result<volumes::trash_outcome> trash(const sample& s) {
        return run(volume().trash(s.name, {.protect_for = hours(1), .lifetime = hours(1)}, soon()));
    }

  private:
    void make_object(const std::string& key, const bytes& content, age how_old) {
        if (!how_old) return;
        fixture_.put_object(key, content);
        fixture_.age_object(key, *how_old);
    }

    const volumes::s3::object_names names_;
    s3_fixture fixture_;
};

}  // namespace

TEST_CASE("every state of a bucket is dealt with as the Go daemon does", "[volumes][s3][states]") {
    bucket_states bucket(GENERATE(std::size_t{0}, std::size_t{3}));
    std::vector<std::vector<sample>> samples;
    for (const auto& row : rows) {
        auto& made = samples.emplace_back();
        for (int i = 0; i < 5; ++i) made.push_back(bucket.make(row));
    }
    s3_fixture::settle();
    auto& v = bucket.volume();
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto& row = rows[i];
        INFO(row.what);
        const auto begin = now();
        {
            const auto& s = samples[i][0];
            const auto got = get(v, s.name);
            CHECK(got.has_value() == row.can_get);
            if (got) CHECK(*got == s.content);
            if (!got) CHECK(got.error() == errc::not_found);
        }
        {
            const auto& s = samples[i][1];
            const auto trashed = bucket.trash(s);
            INFO((trashed ? "no error" : trashed.error().text));
            CHECK(trashed.has_value() == row.can_trash);
            if (!row.block && !trashed) CHECK(trashed.error() == errc::not_found);
            const auto got = get(v, s.name);
            CHECK(got.has_value() == row.can_get_after_trash);
            if (got) CHECK(*got == s.content);
            if (!got) CHECK(got.error() == errc::not_found);
        }
        {
            const auto& s = samples[i][2];
            const auto untrashed = run(v.untrash(s.name, soon()));
            CHECK(untrashed.has_value() == row.can_untrash);
            if (!untrashed) {
                CHECK(untrashed.error() == errc::not_found);
            } else {
                CHECK(get(v, s.name).value() == s.content);
                CHECK(run(v.mtime(s.name, soon())).value() >= begin - seconds(1));
            }
        }
        {
            const auto& s = samples[i][4];
            REQUIRE(put(v, s.name, s.content).has_value());
            const auto mtime = run(v.mtime(s.name, soon()));
            REQUIRE(mtime.has_value());
            CHECK(*mtime >= begin - seconds(1));
            CHECK(get(v, s.name).value() == s.content);
        }
    }
    const auto begin = now();
    REQUIRE(run(v.empty_trash(4, deadline::in(seconds(60)))).has_value());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto& row = rows[i];
        INFO(row.what);
        const auto& s = samples[i][3];
        CHECK(bucket.fixture().head_object(bucket.names().trash(s.name)).has_value() == row.trash_is_kept);
        if (row.is_fresh_after) {
            const auto mtime = run(v.mtime(s.name, soon()));
            REQUIRE(mtime.has_value());
            CHECK(*mtime >= begin - seconds(1));
            CHECK(get(v, s.name).value() == s.content);
        }
        // A block that could be read before can be read after.
        if (row.can_get) CHECK(get(v, s.name).value() == s.content);
    }
}

}  // namespace keepstore::test
