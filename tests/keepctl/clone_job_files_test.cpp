#include "keepctl/clone/job_files.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::keepctl;

namespace {

const std::chrono::sys_seconds some_time{std::chrono::seconds(1'795'226'400)};

segment_report some_report() {
    segment_report out{.segment = "3f", .worker = "host:1:n", .started_at = some_time, .ended_at = some_time};
    copy_counts& outcomes = out.counts;
    outcomes = {
        .listed = 10, .present = 1, .copied = 5, .replaced = 1, .gone = 1, .bad_source = 1, .failed = 1, .bytes = 99};
    out.counts.read_to_verify = 2;
    out.counts.foreign = 4;
    out.failed.push_back({.block = md5_of_nothing, .size = 3, .outcome = "failed", .reason = "S3 copy: 500"});
    return out;
}

}  // namespace

TEST_CASE("the files of a job have the documented form", "[keepctl][clone]") {
    const clone_job job{.id = "b7d1",
                        .source = "s3://a?endpoint=http://x",
                        .destination = "s3://b?endpoint=http://x",
                        .mode = clone_mode::server_side,
                        .digits = 2,
                        .created_at = some_time};
    CHECK(encode(job) == R"({"format":"keepctl-clone-1","id":"b7d1","source":"s3://a?endpoint=http://x",)"
                         R"("destination":"s3://b?endpoint=http://x","mode":"server-side","digits":2,)"
                         R"("created_at":"2026-11-21T02:00:00Z","options":{"trash":false,"verify":"etag"}})"
                         "\n");
    CHECK(encode(some_report(), "b7d1") ==
          R"({"segment":"3f","job":"b7d1","worker":"host:1:n","started_at":"2026-11-21T02:00:00Z",)"
          R"("ended_at":"2026-11-21T02:00:00Z","listed":10,"copied":5,"present":1,"replaced":1,"gone":1,)"
          R"("bad_source":1,"bytes":99,"read_to_verify":2,"foreign":4,"failed":[{"hash":)"
          R"("d41d8cd98f00b204e9800998ecf8427e","size":3,"class":"failed","reason":"S3 copy: 500"}],"failed_total":2})"
          "\n");
    CHECK(encode(segment_claim{.job = "b7d1", .worker = "w", .until = some_time}) ==
          R"({"job":"b7d1","worker":"w","until":"2026-11-21T02:00:00Z"})"
          "\n");
    CHECK(response_file("3f") == "segments/3f.json");
    CHECK(claim_file("") == "segments/all.claim");
}

TEST_CASE("the files of a job are read back, also with fields of later versions", "[keepctl][clone]") {
    const clone_job job{
        .id = "b7d1", .source = "a", .destination = "b", .digits = 3, .created_at = some_time, .trash = true};
    const auto read = decode_job(encode(job));
    REQUIRE(read.has_value());
    CHECK(read->same_work(job));
    auto other = job;
    other.proof = clone_proof::none;
    CHECK_FALSE(other.same_work(job));
    other = job;
    other.trash = false;
    CHECK_FALSE(other.same_work(job));
    other = job;
    other.destination = "c";
    CHECK_FALSE(other.same_work(job));
    CHECK(read->id == "b7d1");
    CHECK(read->digits == 3);
    CHECK(read->created_at == some_time);

    auto text = encode(some_report(), "b7d1");
    text.insert(1, R"("later":[1,2],)");
    const auto report = decode_report(text, "b7d1", "3f");
    REQUIRE(report.has_value());
    CHECK(report->counts.add_up());
    CHECK(report->failed_total() == 2);
    CHECK(report->failed.at(0).reason == "S3 copy: 500");
    CHECK(decode_claim(encode(segment_claim{"j", "w", some_time}))->until == some_time);
    job_result result{.job = "j", .ended_at = some_time, .segments = 16};
    result.counts = some_report().counts;
    CHECK(decode_result(encode(result))->counts.copied == 5);
}

TEST_CASE("a file that is cut, changed or of another job is none", "[keepctl][clone]") {
    const auto text = encode(some_report(), "b7d1");
    for (std::size_t length = 0; length + 2 < text.size(); ++length) {
        CAPTURE(length);
        CHECK_FALSE(decode_report(text.substr(0, length), "b7d1", "3f").has_value());
    }
    CHECK_FALSE(decode_report(text, "other", "3f").has_value());
    CHECK_FALSE(decode_report(text, "b7d1", "3e").has_value());
    const auto with = [&](std::string_view from, std::string_view to) {
        auto changed = text;
        changed.replace(changed.find(from), from.size(), to);
        return decode_report(changed, "b7d1", "3f").has_value();
    };
    CHECK(with("\"bytes\":99", "\"bytes\":98"));
    CHECK_FALSE(with("\"copied\":5", "\"copied\":6"));  // They no longer add up.
    CHECK_FALSE(with("\"copied\":5", "\"copied\":-5"));
    CHECK_FALSE(with("\"failed_total\":2", "\"failed_total\":0"));
    CHECK_FALSE(with("d41d8", "D41d8"));
    CHECK_FALSE(with("2026-11-21", "yesterday"));
    const auto job = encode(clone_job{.id = "b", .source = "a", .destination = "b", .created_at = some_time});
    CHECK(decode_job(job).has_value());
    for (const auto& [from, to] : {std::pair{"clone-1", "clone-2"},
                                   {"auto", "fast"},
                                   {"\"digits\":0", "\"digits\":4"},
                                   {"\"trash\":false", "\"trash\":0"},
                                   {"etag", "md5"},
                                   {"\"id\":\"b\"", "\"id\":\"\""}}) {
        auto changed = job;
        changed.replace(changed.find(from), std::string_view(from).size(), to);
        CHECK_FALSE(decode_job(changed).has_value());
    }
}
