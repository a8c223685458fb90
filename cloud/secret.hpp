/// A secret that cannot be printed by accident: no stream operator, no formatter. `reveal` is for signing only.
#pragma once

#include <string>
#include <utility>

namespace keepstore::cloud {

class secret_string {
  public:
    secret_string() = default;
    explicit secret_string(std::string value) : value_(std::move(value)) {}
    [[nodiscard]] const std::string& reveal() const noexcept { return value_; }
    [[nodiscard]] bool empty() const noexcept { return value_.empty(); }
    [[nodiscard]] bool operator==(const secret_string&) const = default;

  private:
    std::string value_;
};

}  // namespace keepstore::cloud
