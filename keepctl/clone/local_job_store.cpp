#include "keepctl/clone/local_job_store.hpp"

#include "keepctl/clone/limits.hpp"
#include "keepctl/cluster/local_file.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <utility>

namespace keepstore::keepctl {
namespace {

// Another process holds the lock for some milliseconds.
constexpr std::chrono::milliseconds lock_pause{5};

result<std::optional<std::string>> read_if_there(const std::string& path) {
    auto text = read_file(path, limits::clone_job_file_bytes_max);
    if (text) return std::optional(std::move(*text));
    if (text.error() == errc::not_found) return std::nullopt;
    return std::unexpected(std::move(text.error()));
}

}  // namespace

result<std::unique_ptr<job_store>> local_job_store::open(std::string folder) {
    KS_CHECK(make_folder(folder + "/segments"));
    return existing(std::move(folder));
}

std::unique_ptr<job_store> local_job_store::existing(std::string folder) {
    return std::unique_ptr<job_store>(new local_job_store(std::move(folder)));
}

awaitable<result<std::optional<job_store::file>>> local_job_store::read(std::string name, deadline) {
    KS_CO_TRY(auto text, read_if_there(path_of(name)));
    if (!text) co_return std::nullopt;
    co_return file{.text = *text, .version = *text};
}

awaitable<result<bool>> local_job_store::create(std::string name, std::string text, deadline until) {
    return swap(std::move(name), std::move(text), std::nullopt, until);
}

awaitable<result<bool>> local_job_store::replace(std::string name, std::string text, std::string version,
                                                 deadline until) {
    return swap(std::move(name), std::move(text), std::move(version), until);
}

awaitable<result<bool>> local_job_store::swap(std::string name, std::string text, std::optional<std::string> expected,
                                              deadline until) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    auto lock = lock_file(path_of(".lock"));
    while (!lock && lock.error() == errc::unavailable && !until.passed()) {
        timer.expires_after(lock_pause);
        if (const auto [failed] = co_await expiry(timer); failed) co_return fail(errc::cancelled);
        lock = lock_file(path_of(".lock"));
    }
    if (!lock) co_return std::unexpected(std::move(lock.error()));
    KS_CO_TRY(const auto there, read_if_there(path_of(name)));
    if (there != expected) co_return false;
    KS_CO_CHECK(replace_file(path_of(name), text));
    co_return true;
}

}  // namespace keepstore::keepctl
