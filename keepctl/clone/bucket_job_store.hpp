/// The files of a job as objects of a bucket, under a prefix. Changes are conditional PUTs; for a service that does not
/// know them they are plain ones after a look, which costs two workers double work at worst.
#pragma once

#include "keepctl/clone/job_store.hpp"
#include "s3/client.hpp"

namespace keepstore::keepctl {

class bucket_job_store final : public job_store {
  public:
    /// `prefix` without a slash at its end; may be empty.
    bucket_job_store(std::string where, s3::client client, std::string prefix)
        : where_(std::move(where)), client_(std::move(client)), prefix_(std::move(prefix)) {}

    [[nodiscard]] const std::string& where() const noexcept override { return where_; }
    [[nodiscard]] awaitable<result<std::optional<file>>> read(std::string name, deadline until) override;
    [[nodiscard]] awaitable<result<bool>> create(std::string name, std::string text, deadline until) override;
    [[nodiscard]] awaitable<result<bool>> replace(std::string name, std::string text, std::string version,
                                                  deadline until) override;

  private:
    [[nodiscard]] std::string key_of(const std::string& name) const {
        return prefix_.empty() ? name : prefix_ + "/" + name;
    }
    /// \returns false if the condition did not hold.
    [[nodiscard]] awaitable<result<bool>> put(std::string name, std::string text, s3::put_options how, deadline until);

    const std::string where_;
    const s3::client client_;
    const std::string prefix_;
    bool conditional_ = true;  ///< The service knows conditional PUTs.
    s3::put_options::etag_form form_ = s3::put_options::etag_form::quoted;
};

}  // namespace keepstore::keepctl
