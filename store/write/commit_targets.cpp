// Makes the block visible and durable on all targets, once the digest of the body agrees with the name.
#include "base/log.hpp"
#include "base/when_all.hpp"
#include "store/limits.hpp"
#include "store/verify/verify_copy.hpp"
#include "store/write/write_operation.hpp"

#include <utility>

namespace keepstore::store {

awaitable<result<void>> write_operation::commit_all() {
    for (const auto& t : targets_) {
        if (t->now != phase::comparing || t->stored->size() == length_) continue;
        t->differs_from = length_;  // It goes on after the end of the body.
        KS_CO_CHECK(co_await start_writing(*t, length_));
    }
    KS_CO_CHECK(co_await check_replaced_copies());
    while (true) {
        std::vector<target*> open;
        for (const auto& t : targets_) {
            if (t->now == phase::comparing || t->now == phase::writing) open.push_back(t.get());
        }
        if (open.empty()) break;
        if (open.size() == 1) {
            KS_CO_CHECK(co_await commit(*open.front()));
        } else {
            std::vector<result<void>> outcomes(open.size());
            std::vector<awaitable<void>> work;
            for (std::size_t i = 0; i < open.size(); ++i) work.push_back(keep_outcome(commit(*open[i]), outcomes[i]));
            if (co_await when_all(std::move(work))) co_return fail(errc::cancelled);
            for (auto& outcome : outcomes) KS_CO_CHECK(std::move(outcome));
        }
        KS_CO_CHECK(co_await replace_failed(nullptr));
    }
    co_return success();
}

awaitable<result<void>> write_operation::commit(target& t) {
    if (t.now == phase::comparing) {
        const auto touched = co_await t.where->volume->touch(request_.hash, until_for(*t.where));
        if (touched) {
            t.now = phase::committed;
            co_return success();
        }
        if (touched.error() != errc::not_found) {
            KS_CO_CHECK(fail_target(t, touched.error()));
            co_return success();
        }
        // Trashed between comparing and touching: the open copy is still whole and proven equal; store it again.
        KS_CO_TRY(const bool started, co_await start_writing(t, length_));
        if (!started) co_return success();
    }
    std::optional<std::pair<std::string, std::vector<std::byte>>> attribute;
    if (waypoints_) attribute.emplace(waypoints_attribute, *waypoints_);
    const auto committed = co_await t.writer->commit(std::move(attribute), until_for(*t.where));
    if (!committed) {
        const error& why = committed.error();
        if (why == errc::collision) co_return std::unexpected(why);
        KS_CO_CHECK(fail_target(t, why));
        co_return success();
    }
    t.now = phase::committed;
    if (t.differs_from) {
        store_.counters.repaired_copies.add();
        store_.bad_copy_log.forget(t.where->uuid, request_.hash);
    }
    co_return success();
}

// Reports the copies that are about to be replaced, unless one of them collides. Only now: of a body that is not what
// its name says a good copy differs, too.
awaitable<result<void>> write_operation::check_replaced_copies() {
    for (const auto& t : targets_) {
        if (t->now != phase::writing || !t->differs_from) continue;
        KS_CO_TRY(const bool collision, co_await is_collision(*t->stored));
        if (collision) {
            log::error("hash collision: a different block with the same MD5 is stored",
                       {{"block", request_.hash.hex()}, {"mount", t->where->uuid}});
            co_return fail(errc::collision);
        }
        store_.counters.bad_copies.add();
        store_.bad_copy_log.report(t->where->uuid, request_.hash, "differs from the data being stored",
                                   *t->differs_from);
    }
    co_return success();
}

// The stored copy differs from the body, whose digest is right. If the copy's digest is right as well the two collide;
// otherwise the copy is corrupt, or cannot be read and need not be kept.
awaitable<result<bool>> write_operation::is_collision(volumes::block_reader& copy) {
    KS_CO_TRY(auto memory, co_await store_.copy_pool.take(limits::copy_lease_chunks, request_.until));
    const auto pass = co_await hash_serially(memory, store_.engine, copy, request_.until);
    if (pass) co_return pass->digest == request_.hash;
    if (pass.error() == errc::cancelled) co_return std::unexpected(pass.error());
    co_return false;
}

}  // namespace keepstore::store
