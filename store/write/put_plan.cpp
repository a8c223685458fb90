#include "store/write/put_plan.hpp"

#include <algorithm>

namespace keepstore::store {

put_plan::put_plan(std::span<const std::string> classes) : todo_(classes.begin(), classes.end()) {}

bool put_plan::wants(const mount& m) const {
    if (done() || used_.contains(&m)) return false;
    if (todo_.empty()) return true;
    return std::ranges::any_of(m.storage_classes, [&](const auto& c) { return todo_.contains(c.first); });
}

void put_plan::add(const mount& m) {
    if (!used_.insert(&m).second) return;
    replicas_ += m.replication;
    for (const auto& [name, unused] : m.storage_classes) {
        classes_[name] += m.replication;
        todo_.erase(name);
    }
}

}  // namespace keepstore::store
