/// The files of a job in a local folder. Changes happen under a lock (flock on FOLDER/.lock), which the kernel frees
/// when a process dies.
#pragma once

#include "keepctl/clone/job_store.hpp"

namespace keepstore::keepctl {

class local_job_store final : public job_store {
  public:
    /// Makes the folder with its folder "segments". \returns the line for the operator if that is not possible.
    [[nodiscard]] static result<std::unique_ptr<job_store>> open(std::string folder);
    /// A folder that must have a job already.
    [[nodiscard]] static std::unique_ptr<job_store> existing(std::string folder);

    [[nodiscard]] const std::string& where() const noexcept override { return folder_; }
    [[nodiscard]] awaitable<result<std::optional<file>>> read(std::string name, deadline until) override;
    [[nodiscard]] awaitable<result<bool>> create(std::string name, std::string text, deadline until) override;
    [[nodiscard]] awaitable<result<bool>> replace(std::string name, std::string text, std::string version,
                                                  deadline until) override;

  private:
    explicit local_job_store(std::string folder) : folder_(std::move(folder)) {}
    /// Writes the file if what is there is `expected`.
    [[nodiscard]] awaitable<result<bool>> swap(std::string name, std::string text, std::optional<std::string> expected,
                                               deadline until);
    [[nodiscard]] std::string path_of(const std::string& name) const { return folder_ + "/" + name; }

    const std::string folder_;
};

}  // namespace keepstore::keepctl
