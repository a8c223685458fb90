#include "keepctl/balance/tally.hpp"

#include <algorithm>

namespace keepstore::keepctl::balance {

void tally::count(const decision& d, std::uint32_t size) {
    if (classes.size() < d.classes.size()) classes.resize(d.classes.size());
    bool not_achievable = false;
    for (std::size_t i = 0; i < d.classes.size(); ++i) {
        const auto& found = d.classes[i];
        auto& usage = classes[i];
        if (found.unachievable) usage.unachievable.add(1, size);
        if (found.needed > 0) usage.needed.add(found.needed, size);
        if (found.unneeded > 0) usage.unneeded.add(found.unneeded, size);
        if (found.pulling > 0) usage.pulling.add(found.pulling, size);
        not_achievable = not_achievable || found.unachievable;
    }
    if (not_achievable) unachievable.add(1, size);

    const auto& t = d.total;
    if (d.lost)
        lost.add(1, size);
    else if (t.pulling > 0)
        underreplicated.add(t.pulling, size);
    else if (t.unneeded > 0 && t.needed == 0)
        (d.has_new ? unreferenced : garbage).add(t.unneeded, size);
    else if (t.unneeded > 0)
        overreplicated.add(t.unneeded, size);
    else
        balanced.add(t.needed, size);
    const auto copies = t.needed + t.unneeded;
    if (t.needed > 0) desired.add(t.needed, size);
    if (copies > 0) total.add(copies, size);
    if (by_copies.size() <= copies) by_copies.resize(copies + std::size_t{1});
    ++by_copies[copies];
    if (d.misplaced) ++misplaced;
    if (d.conflict) ++size_conflicts;
}

void tally::add(const tally& other) {
    for (const auto field :
         {&tally::lost, &tally::underreplicated, &tally::balanced, &tally::overreplicated, &tally::unreferenced,
          &tally::garbage, &tally::unachievable, &tally::desired, &tally::total})
        (this->*field).add(other.*field);
    if (classes.size() < other.classes.size()) classes.resize(other.classes.size());
    for (std::size_t i = 0; i < other.classes.size(); ++i) {
        for (const auto field :
             {&class_usage::needed, &class_usage::unneeded, &class_usage::pulling, &class_usage::unachievable})
            (classes[i].*field).add(other.classes[i].*field);
    }
    if (by_copies.size() < other.by_copies.size()) by_copies.resize(other.by_copies.size());
    for (std::size_t i = 0; i < other.by_copies.size(); ++i) by_copies[i] += other.by_copies[i];
    misplaced += other.misplaced;
    size_conflicts += other.size_conflicts;
    future_mtimes += other.future_mtimes;
}

}  // namespace keepstore::keepctl::balance
