#include "cloud/op_stats.hpp"

#include "base/text.hpp"
#include "cloud/limits.hpp"

#include <algorithm>

namespace keepstore::cloud {

op_stats::op_stats(const op_stats_texts& texts)
    : texts_(texts), operations_(std::make_unique<counter[]>(texts.operations.size())) {}

bool is_plain_code(std::string_view code) noexcept {
    const auto plain = [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; };
    return !code.empty() && code.size() <= 64 && std::ranges::all_of(code, plain);
}

void op_stats::failed(unsigned status, std::string_view code) {
    auto type = texts_.error_type(status, code);
    const std::lock_guard lock(mutex_);
    if (errors_.size() >= limits::cloud_error_types_max && !errors_.contains(type)) type = texts_.other_errors;
    ++errors_[type];
}

std::map<std::string, std::uint64_t> op_stats::counted(std::size_t from, std::size_t to) const {
    std::map<std::string, std::uint64_t> out;
    for (std::size_t i = from; i < to; ++i) out[std::string(texts_.operations[i])] = operations_[i].value();
    return out;
}

std::map<std::string, std::uint64_t> op_stats::operations() const {
    return counted(0, texts_.counted_by_go);
}

std::map<std::string, std::uint64_t> op_stats::other_operations() const {
    return counted(texts_.counted_by_go, texts_.operations.size());
}

std::map<std::string, std::uint64_t> op_stats::errors() const {
    std::map<std::string, std::uint64_t> out;
    for (const auto type : texts_.usual_errors) out.emplace(type, 0);
    const std::lock_guard lock(mutex_);
    for (const auto& [type, n] : errors_) out[type] = n;
    return out;
}

}  // namespace keepstore::cloud
