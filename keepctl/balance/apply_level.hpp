/// How much of a plan is carried out.
#pragma once

namespace keepstore::keepctl::balance {

enum class apply_level {
    nothing,  ///< The plan is shown.
    pulls,    ///< Copies are made; nothing is trashed.
    all,
};

}  // namespace keepstore::keepctl::balance
