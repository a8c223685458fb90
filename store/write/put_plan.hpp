/// Chooses the mounts of a PUT by the requested storage classes (docs/interface.md 2.12, 8.2): greedily in mount order;
/// a class is satisfied by one mount that offers it; without classes any one mount satisfies. A value type, cheap to
/// copy.
#pragma once

#include "store/mount.hpp"

#include <map>
#include <set>
#include <span>
#include <string>

namespace keepstore::store {

class put_plan {
  public:
    explicit put_plan(std::span<const std::string> classes);

    [[nodiscard]] bool done() const noexcept { return todo_.empty() && !used_.empty(); }
    [[nodiscard]] bool wants(const mount&) const;
    void add(const mount&);

    [[nodiscard]] int replicas() const noexcept { return replicas_; }
    [[nodiscard]] const std::map<std::string, int>& classes() const noexcept { return classes_; }

  private:
    std::set<std::string> todo_;
    std::set<const mount*> used_;
    int replicas_ = 0;
    std::map<std::string, int> classes_;
};

}  // namespace keepstore::store
