/// Counters for metrics, each declared once: the member that is counted on carries its name and help text, and its set
/// hands all of them to the exporter.
///
///     struct cache_counters : counter_set {
///         counter hits{*this, "cache_lookups_total", "Lookups, by outcome.", {"outcome", "hit"}};
///         counter misses{*this, "cache_lookups_total", "Lookups, by outcome.", {"outcome", "miss"}};
///     };
///
/// Threads: a set is complete after construction; counting and reading are then safe from any thread. Both are relaxed
/// atomic operations: a counter orders nothing, and two counters read together may be a moment apart.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace keepstore {

class counter;

/// Lists its counters in order of declaration. Base class of a struct of counters; neither copied nor moved, since the
/// counters know their address.
class counter_set {
  public:
    counter_set() = default;
    counter_set(const counter_set&) = delete;
    counter_set& operator=(const counter_set&) = delete;

    /// Calls `visit(const counter&)` for each counter that was declared with a name.
    template <typename Visitor>
    void for_each(Visitor visit) const;

  private:
    friend class counter;

    const counter* first_ = nullptr;
    counter* last_ = nullptr;
};

class counter {
  public:
    struct label {
        std::string_view name;  ///< Empty: no label.
        std::string_view value;
    };

    /// A counter that is not exported, or not as it is.
    counter() = default;
    /// Adds itself to `set`. The texts are literals. Counters of one name have one help text and differ in their label.
    counter(counter_set& set, std::string_view name, std::string_view help, label l = {})
        : name_(name), help_(help), label_(l) {
        (set.last_ ? set.last_->next_ : set.first_) = this;
        set.last_ = this;
    }
    counter(const counter&) = delete;
    counter& operator=(const counter&) = delete;

    void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    /// For gauges.
    void sub(std::uint64_t n = 1) noexcept { value_.fetch_sub(n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

    [[nodiscard]] std::string_view name() const noexcept { return name_; }
    [[nodiscard]] std::string_view help() const noexcept { return help_; }
    [[nodiscard]] const label& get_label() const noexcept { return label_; }

  private:
    friend class counter_set;

    std::atomic<std::uint64_t> value_{0};
    std::string_view name_;
    std::string_view help_;
    label label_;
    const counter* next_ = nullptr;
};

template <typename Visitor>
void counter_set::for_each(Visitor visit) const {
    for (const counter* c = first_; c; c = c->next_) visit(*c);
}

}  // namespace keepstore
