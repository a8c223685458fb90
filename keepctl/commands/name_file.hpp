/// A list of blocks, "hash+size" a line, for a file or ("-") for stdout. Used by one thread.
#pragma once

#include "keepctl/cluster/entry.hpp"
#include "keepctl/commands/output.hpp"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

namespace keepstore::keepctl {

class name_file {
  public:
    /// An empty path: only counts. `type`: of the records on stdout with --json.
    name_file(std::string path, std::string_view type, output& out) : path_(std::move(path)), type_(type), out_(out) {}

    /// Makes the file, or empties it. \returns what is wrong; empty if nothing is.
    [[nodiscard]] std::string open();
    void add(block_id block);
    /// Adds the line "mark hash+size".
    void add(char mark, block_id block);
    [[nodiscard]] bool on_stdout() const noexcept { return path_ == "-"; }
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    /// Why the list is incomplete, as far as it is known: call it at the end. Empty if it is not.
    [[nodiscard]] std::string problem() const;

  private:
    struct closer {
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };
    void write(std::string line, record fields);

    const std::string path_;
    const std::string_view type_;
    output& out_;
    std::unique_ptr<std::FILE, closer> file_;
    std::uint64_t count_ = 0;
};

}  // namespace keepstore::keepctl
