#include "cloud/credentials/credentials.hpp"

#include "base/log.hpp"
#include "cloud/credentials/credential_fetch.hpp"
#include "cloud/error.hpp"
#include "cloud/limits.hpp"

#include <fmt/format.h>

#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace keepstore::cloud {
namespace {

using clock = deadline::clock;
using wall_time = std::chrono::sys_time<std::chrono::milliseconds>;

bool same_keys(const signing_keys& a, const signing_keys& b) {
    return a.access_key_id == b.access_key_id && a.secret_access_key == b.secret_access_key &&
           a.session_token == b.session_token;
}

/// Returns the time until keys with an expiry expire, by the clock of their source.
std::chrono::milliseconds time_left(const credentials& keys, const wall_clock& now) {
    return *keys.expires_at - (now() + keys.clock_offset);
}

/// The error for keys that have expired already when they are fetched. The likeliest reason is that this host's clock
/// is wrong.
error already_expired(const credentials& keys, std::chrono::milliseconds left) {
    const bool known = keys.clock_offset != std::chrono::milliseconds(0);
    return credential_error(error_kind::expired_token,
                            fmt::format("{} returned credentials that expired {} s ago, by the clock of {}",
                                        keys.source, std::chrono::duration_cast<std::chrono::seconds>(-left).count(),
                                        known ? "their source" : "this host, which may be wrong (NTP)"));
}

struct decision {
    enum class step { use, give_up, wait } next;
    std::optional<credentials> keys = {};
    std::optional<error> why = {};
};

}  // namespace

wall_clock system_wall_clock() {
    return [] { return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()); };
}

/// The state shared by callers, the running fetch and the cache.
class credentials_cache::shared : public std::enable_shared_from_this<shared> {
  public:
    shared(std::unique_ptr<credentials_source> source, wall_clock now)
        : source_(std::move(source)), now_(std::move(now)) {}
    explicit shared(credentials permanent) : permanent_(std::move(permanent)) {}

    static awaitable<result<credentials>> get_or_fetch(std::shared_ptr<shared> self,
                                                       std::optional<credentials> rejected, deadline until);
    static awaitable<result<credentials>> renew(std::shared_ptr<shared> self, credentials rejected, deadline until);

    void close() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
        }
        if (permanent_ || !loop_->cancel()) return;
        // The source first: its threads, for files and commands, may be about to resume a coroutine of the loop.
        source_.reset();
        loop_.reset();
    }

    [[nodiscard]] std::uint64_t fetches() const {
        const std::lock_guard lock(mutex_);
        return fetches_;
    }

  private:
    enum class freshness { good, renew_soon, unusable };

    static awaitable<result<credentials>> fetch(std::shared_ptr<shared> self);

    [[nodiscard]] decision decide(const std::optional<credentials>& rejected, bool waited, const one_shot<bool>& woken);
    void finish_fetch(result<credentials> fetched, bool for_rejected);

    // With mutex_ held.
    [[nodiscard]] freshness freshness_of_held() const;
    [[nodiscard]] bool may_fetch(bool usable, bool refused) const;
    [[nodiscard]] bool was_just_now(std::optional<wall_time> event) const;
    void start_fetch(bool for_rejected);

    std::unique_ptr<credentials_source> source_;  ///< Gone once closed.
    const std::optional<credentials> permanent_;
    const wall_clock now_;
    std::unique_ptr<fetch_loop> loop_ = std::make_unique<fetch_loop>();  ///< Used with mutex_ held until closed.

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::optional<credentials> held_;
    bool fetching_ = false;
    bool closed_ = false;
    /// Callers that need the running fetch; woken with whether it succeeded. No single_flight: callers whose keys
    /// are still valid start a fetch and do not wait for it.
    std::vector<one_shot<bool>> waiting_;
    std::optional<error> last_error_;            ///< Of the last fetch, if it failed.
    clock::time_point no_fetch_before_{};        ///< Set by a fetch that failed or returned the same keys.
    std::optional<wall_time> last_success_;      ///< When a fetch last succeeded.
    std::optional<wall_time> last_replacement_;  ///< When one for rejected keys last succeeded.
    std::uint64_t fetches_ = 0;
};

credentials_cache::credentials_cache(std::unique_ptr<credentials_source> source, wall_clock now)
    : shared_(std::make_shared<shared>(std::move(source), std::move(now))) {}

credentials_cache::credentials_cache(credentials permanent) : shared_(std::make_shared<shared>(std::move(permanent))) {}

credentials_cache::~credentials_cache() {
    shared_->close();
}

std::uint64_t credentials_cache::fetches() const {
    return shared_->fetches();
}

awaitable<result<credentials>> credentials_cache::get(deadline until) {
    return shared::get_or_fetch(shared_, std::nullopt, until);
}

awaitable<result<credentials>> credentials_cache::renew(credentials rejected, deadline until) {
    return shared::renew(shared_, std::move(rejected), until);
}

awaitable<result<credentials>> credentials_cache::shared::renew(std::shared_ptr<shared> self, credentials rejected,
                                                                deadline until) {
    if (self->permanent_) {
        co_return std::unexpected(credential_error(error_kind::expired_token, "the configured keys were rejected"));
    }
    auto fresh = co_await get_or_fetch(self, rejected, until);
    if (fresh && same_keys(fresh->keys, rejected.keys)) {
        co_return std::unexpected(
            credential_error(error_kind::expired_token, "the source has no newer keys than the rejected ones"));
    }
    co_return fresh;
}

credentials_cache::shared::freshness credentials_cache::shared::freshness_of_held() const {
    if (!held_) return freshness::unusable;
    if (!held_->expires_at) return freshness::good;
    const auto left = time_left(*held_, now_);
    if (left <= std::chrono::seconds(0)) return freshness::unusable;
    return left <= limits::credentials_renewal_window ? freshness::renew_soon : freshness::good;
}

bool credentials_cache::shared::may_fetch(bool usable, bool refused) const {
    if (closed_ || clock::now() < no_fetch_before_) return false;
    if (refused) return !was_just_now(last_replacement_);
    return !usable || !was_just_now(last_success_);
}

bool credentials_cache::shared::was_just_now(std::optional<wall_time> event) const {
    if (!event) return false;
    // Negative: the clock was set back.
    const auto since = now_() - *event;
    return since >= std::chrono::seconds(0) && since < limits::credentials_retry_interval;
}

// With valid credentials: returns them, starting a background renewal if due. Without: joins the running fetch.
decision credentials_cache::shared::decide(const std::optional<credentials>& rejected, bool waited,
                                           const one_shot<bool>& woken) {
    using step = decision::step;
    const std::lock_guard lock(mutex_);
    const auto state = freshness_of_held();
    // After a successful fetch its keys are taken, even if they are the rejected ones.
    const bool refused = rejected && held_ && same_keys(held_->keys, rejected->keys) && !waited;
    const bool usable = state != freshness::unusable && !refused;
    if (usable && state == freshness::good) return {step::use, held_};
    if (!fetching_ && may_fetch(usable, refused)) start_fetch(refused);
    if (usable) return {step::use, held_};
    if (fetching_) {
        waiting_.push_back(woken);
        return {step::wait};
    }
    if (!last_error_ && state != freshness::unusable) return {step::use, held_};
    return {step::give_up, std::nullopt, last_error_};
}

awaitable<result<credentials>> credentials_cache::shared::get_or_fetch(std::shared_ptr<shared> self,
                                                                       std::optional<credentials> rejected,
                                                                       deadline until) {
    // Keys of the configuration need neither waiting nor caching.
    if (self->permanent_) co_return *self->permanent_;
    bool waited = false;
    while (true) {
        const one_shot<bool> woken;
        auto found = self->decide(rejected, waited, woken);
        switch (found.next) {
            case decision::step::use:
                co_return std::move(*found.keys);
            case decision::step::give_up:
                co_return std::unexpected(
                    found.why.value_or(credential_error(error_kind::bad_credentials, "no credentials")));
            case decision::step::wait:
                break;
        }
        KS_CO_TRY(waited, co_await woken.wait(until, "waiting for credentials took too long"));
    }
}

void credentials_cache::shared::start_fetch(bool for_rejected) {
    auto done = [self = shared_from_this(), for_rejected](result<credentials> fetched) {
        self->finish_fetch(std::move(fetched), for_rejected);
    };
    try {
        loop_->start(fetch(shared_from_this()), std::move(done));
    } catch (const std::system_error&) {
        last_error_ = error(errc::unavailable, "cannot start the credential thread");
        no_fetch_before_ = clock::now() + limits::credentials_retry_interval;
        return;
    }
    fetching_ = true;
    ++fetches_;
}

awaitable<result<credentials>> credentials_cache::shared::fetch(std::shared_ptr<shared> self) {
    co_return co_await self->source_->fetch(deadline::in(limits::credentials_fetch_timeout));
}

void credentials_cache::shared::finish_fetch(result<credentials> fetched, bool for_rejected) {
    if (fetched && fetched->expires_at) {
        const auto left = time_left(*fetched, now_);
        if (left <= std::chrono::seconds(0)) fetched = std::unexpected(already_expired(*fetched, left));
    }
    std::vector<one_shot<bool>> woken;
    {
        const std::lock_guard lock(mutex_);
        fetching_ = false;
        woken.swap(waiting_);
        if (!fetched || (held_ && same_keys(held_->keys, fetched->keys))) {
            no_fetch_before_ = clock::now() + limits::credentials_retry_interval;
        }
        if (fetched) {
            held_ = *fetched;
            last_error_.reset();
            last_success_ = now_();
            if (for_rejected) last_replacement_ = last_success_;
        } else {
            last_error_ = fetched.error();
        }
    }
    for (const auto& waiter : woken) waiter.set(fetched.has_value());
    if (fetched) {
        log::debug("fetched storage credentials", {{"source", fetched->source}});
    } else if (fetched.error() != errc::cancelled) {
        log::warning("cannot fetch storage credentials", {{"error", fetched.error().text}});
    }
}

}  // namespace keepstore::cloud
