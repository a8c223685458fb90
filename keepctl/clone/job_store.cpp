#include "keepctl/clone/job_store.hpp"

#include "keepctl/clone/limits.hpp"

#include <utility>

namespace keepstore::keepctl {

awaitable<result<void>> put_file(job_store& store, std::string name, std::string text,
                                 std::function<bool(std::string_view)> keep, deadline until) {
    for (unsigned attempt = 0; attempt < limits::clone_swap_attempts; ++attempt) {
        KS_CO_TRY(auto there, co_await store.read(name, until));
        // Also after a response that was lost: what is there is ours.
        if (there && (there->text == text || keep(there->text))) co_return success();
        auto version = there ? std::optional(std::move(there->version)) : std::nullopt;
        KS_CO_TRY(const bool written, co_await store.swap(name, text, std::move(version), until));
        if (written) co_return success();
    }
    co_return fail(errc::unavailable, store.where() + ": a file of the job is changed all the time by others");
}

}  // namespace keepstore::keepctl
