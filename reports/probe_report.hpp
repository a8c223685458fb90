/// What the probe of S3 volumes found, for people and for programs. Pure; nothing in it is secret.
#pragma once

#include "reports/probe_targets.hpp"
#include "s3/probe.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::reports {

struct probe_outcome {
    probe_target target;
    std::vector<s3::probe_line> lines = {};
    bool ended = false;

    /// Nothing failed, and it came to its end.
    [[nodiscard]] bool good() const;
};

/// "volume UUID: bucket keep at https://..., read and write", a line.
[[nodiscard]] std::string probe_heading(const probe_target&);
/// Which of them can be used, some lines; the last one begins with "ok" or "not ok".
[[nodiscard]] std::string probe_summary(std::span<const probe_outcome>);
/// {"ok": ..., "volumes": [{"uuid", "bucket", "endpoint", "region", "writes", "ok", "steps": [{"step", "result",
/// "text"}]}]}.
[[nodiscard]] std::string probe_json(std::span<const probe_outcome>);
/// {"ok": false, "error": ...}, if nothing could be tried.
[[nodiscard]] std::string probe_json(std::string_view error);

}  // namespace keepstore::reports
