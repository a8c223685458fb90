/// Where the files of a job are: a local folder, or a bucket under a prefix. Names are relative, with '/'.
///
/// Used from one event loop; a local store blocks it for a moment, as its files are small.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/error.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::s3 {
class client;
}

namespace keepstore::keepctl {

class job_store {
  public:
    struct file {
        std::string text;
        std::string version;  ///< For swap().
    };
    virtual ~job_store() = default;

    /// As the operator names it.
    [[nodiscard]] virtual const std::string& where() const noexcept = 0;
    /// Nothing if there is no such file.
    [[nodiscard]] virtual awaitable<result<std::optional<file>>> read(std::string name, deadline until) = 0;
    /// Replaces a file that still has this version, or, without a version, makes it if there is none; durably.
    /// \returns false if it has another version, or there is one.
    [[nodiscard]] virtual awaitable<result<bool>> swap(std::string name, std::string text,
                                                       std::optional<std::string> version, deadline until) = 0;
};

/// Makes the folder, with its folder "segments". \returns the line for the operator if that is not possible.
[[nodiscard]] result<std::unique_ptr<job_store>> make_local_job_store(std::string folder);
/// A folder that must have a job already.
[[nodiscard]] std::unique_ptr<job_store> find_local_job_store(std::string folder);
/// `prefix` without a slash at its end; may be empty.
[[nodiscard]] std::unique_ptr<job_store> make_bucket_job_store(std::string where, s3::client client,
                                                               std::string prefix);

/// Writes the file, whatever is there, unless `keep` says that what is there is better. Tries again where others write
/// at the same time. \returns errc::unavailable when they never end. Awaited in place.
[[nodiscard]] awaitable<result<void>> put_file(job_store& store, std::string name, std::string text,
                                               std::function<bool(std::string_view)> keep, deadline until);

}  // namespace keepstore::keepctl
