// The files of a clone job, which other workers and other versions write: whatever the bytes, the parsers end, and what
// they accept is what they would write, with counts that add up.

#include "keepctl/clone/job_files.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

using namespace keepstore::keepctl;

namespace {

void expect(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto job = decode_job(text)) {
        const auto again = decode_job(encode(*job));
        expect(again && again->same_work(*job) && again->id == job->id && again->digits == job->digits);
    }
    if (const auto claim = decode_claim(text)) {
        const auto again = decode_claim(encode(*claim));
        expect(again && again->worker == claim->worker && again->until == claim->until);
    }
    if (const auto result = decode_result(text)) {
        expect(result->counts.add_up());
        const auto again = decode_result(encode(*result));
        expect(again && again->counts == result->counts && again->segments == result->segments);
    }
    if (const auto report = decode_report(text, "b7d1", "3f")) {
        expect(report->counts.add_up());
        const auto again = decode_report(encode(*report, "b7d1"), "b7d1", "3f");
        expect(again && again->counts == report->counts && again->failed.size() == report->failed.size());
    }
    return 0;
}
