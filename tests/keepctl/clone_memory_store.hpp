/// A store of a job's files in memory, with compare-and-swap, shared by the workers of a test.
#pragma once

#include "keepctl/clone/job_store.hpp"

#include <map>
#include <string>
#include <utility>

namespace keepstore::test {

class memory_job_store final : public keepctl::job_store {
  public:
    [[nodiscard]] const std::string& where() const noexcept override { return where_; }
    [[nodiscard]] awaitable<result<std::optional<file>>> read(std::string name, deadline) override {
        const auto found = files.find(name);
        if (found == files.end()) co_return std::nullopt;
        co_return file{found->second.first, std::to_string(found->second.second)};
    }
    [[nodiscard]] awaitable<result<bool>> swap(std::string name, std::string text, std::optional<std::string> version,
                                               deadline) override {
        ++writes;
        const auto there = files.find(name);
        const bool same = version ? std::to_string(files.at(name).second) == *version : there == files.end();
        if (same) files[std::move(name)] = {std::move(text), ++version_};
        co_return same;
    }

    std::map<std::string, std::pair<std::string, unsigned>> files;  ///< Text and version.
    unsigned writes = 0;

  private:
    const std::string where_ = "memory";
    unsigned version_ = 0;
};

}  // namespace keepstore::test
