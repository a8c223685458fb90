/// Turns a load_result into text for people or one line of JSON for scripts. MB are 10^6 bytes, GiB
/// 2^30.
#pragma once

#include "bench/load_options.hpp"
#include "bench/load_run.hpp"

#include <string>

namespace keepstore::bench {

std::string report_text(const load_options& options, const load_result& result);
std::string report_json(const load_options& options, const load_result& result);

}  // namespace keepstore::bench
