/// Reads single metrics of the text format of Prometheus. Pure; lines that are not understood are passed over.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::keepctl {

struct metric_sample {
    std::vector<std::pair<std::string, std::string>> labels;
    double value = 0;

    /// Empty if there is no such label.
    [[nodiscard]] std::string_view label(std::string_view name) const noexcept;
};

/// All samples of the metric `name`, in their order.
[[nodiscard]] std::vector<metric_sample> metric_samples(std::string_view text, std::string_view name);

/// The value of its first sample, and a label of that.
[[nodiscard]] std::optional<double> metric_value(std::string_view text, std::string_view name);
[[nodiscard]] std::optional<std::string> metric_label(std::string_view text, std::string_view name,
                                                      std::string_view label);

}  // namespace keepstore::keepctl
