/// A folder of a test's own, removed at the end.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace keepstore::test {

class temp_dir {
  public:
    /// Below $TMPDIR, or `parent` if given.
    explicit temp_dir(std::filesystem::path parent = std::filesystem::temp_directory_path()) {
        std::string pattern = (parent / "keepstore-test-XXXXXX").string();
        if (!mkdtemp(pattern.data())) throw std::runtime_error("cannot make a temporary folder in " + parent.string());
        path_ = pattern;
    }
    ~temp_dir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    temp_dir(const temp_dir&) = delete;
    temp_dir& operator=(const temp_dir&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace keepstore::test
