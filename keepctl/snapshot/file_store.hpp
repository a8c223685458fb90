/// A repository in a directory, file:///abs/dir. Files are written as temp, fsync, rename, fsync of the folder, so that
/// a crash leaves all of a file or none; swaps exclude each other by flock on the file .lock, which the kernel frees
/// when its holder dies. Calls run on threads of their own.
#pragma once

#include "base/blocking_pool.hpp"
#include "keepctl/snapshot/object_store.hpp"

#include <string>

namespace keepstore::keepctl {

class file_store final : public object_store {
  public:
    /// \param root  an absolute path of a directory that is there.
    explicit file_store(std::string root);

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] awaitable<result<void>> prove_swap(deadline until) override;
    [[nodiscard]] awaitable<result<stored_text>> read(std::string key, std::size_t limit, deadline until) override;
    [[nodiscard]] awaitable<result<void>> read_into(std::string key, std::shared_ptr<inventory_buffer> into,
                                                    deadline until) override;
    [[nodiscard]] awaitable<result<void>> write(std::string key, std::shared_ptr<const object_bytes> bytes,
                                                deadline until) override;
    [[nodiscard]] awaitable<result<swap_end>> swap(std::string key, std::string text,
                                                   std::optional<std::string> version, deadline until) override;
    [[nodiscard]] awaitable<result<std::vector<stored_object>>> list(std::string prefix, deadline until) override;
    [[nodiscard]] awaitable<result<void>> remove(std::string key, deadline until) override;
    [[nodiscard]] awaitable<result<std::chrono::sys_seconds>> now(deadline until) override;
    [[nodiscard]] awaitable<result<void>> remove_unfinished(std::chrono::sys_seconds before, deadline until) override;

  private:
    const std::string root_;
    const std::string name_;
    blocking_pool threads_;
};

}  // namespace keepstore::keepctl
