#include "keepctl/clone/job_store.hpp"
#include "keepctl/clone/limits.hpp"
#include "keepctl/cluster/local_file.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <utility>

namespace keepstore::keepctl {
namespace {

/// The files of a job in a local folder. Changes happen under a lock (flock on FOLDER/.lock), which the kernel frees
/// when a process dies.
class local_job_store final : public job_store {
  public:
    explicit local_job_store(std::string folder) : folder_(std::move(folder)) {}

    [[nodiscard]] const std::string& where() const noexcept override { return folder_; }
    [[nodiscard]] awaitable<result<std::optional<file>>> read(std::string name, deadline until) override;
    [[nodiscard]] awaitable<result<bool>> swap(std::string name, std::string text, std::optional<std::string> version,
                                               deadline until) override;

  private:
    [[nodiscard]] std::string path_of(const std::string& name) const { return folder_ + "/" + name; }

    const std::string folder_;
};

// Another process holds the lock for some milliseconds.
constexpr std::chrono::milliseconds lock_pause{5};

result<std::optional<std::string>> read_if_there(const std::string& path) {
    auto text = read_file(path, limits::clone_job_file_bytes_max);
    if (text) return std::optional(std::move(*text));
    if (text.error() == errc::not_found) return std::nullopt;
    return std::unexpected(std::move(text.error()));
}

}  // namespace

awaitable<result<std::optional<job_store::file>>> local_job_store::read(std::string name, deadline) {
    KS_CO_TRY(auto text, read_if_there(path_of(name)));
    if (!text) co_return std::nullopt;
    co_return file{.text = *text, .version = *text};
}

// The version of a file is its text.
awaitable<result<bool>> local_job_store::swap(std::string name, std::string text, std::optional<std::string> version,
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
    if (there != version) co_return false;
    KS_CO_CHECK(replace_file(path_of(name), text));
    co_return true;
}

result<std::unique_ptr<job_store>> make_local_job_store(std::string folder) {
    KS_CHECK(make_folder(folder + "/segments"));
    return find_local_job_store(std::move(folder));
}

std::unique_ptr<job_store> find_local_job_store(std::string folder) {
    return std::make_unique<local_job_store>(std::move(folder));
}

}  // namespace keepstore::keepctl
