#include "keepctl/commands/name_file.hpp"

#include "base/error.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

namespace keepstore::keepctl {

std::string name_file::open() {
    if (path_.empty() || on_stdout()) return {};
    file_.reset(std::fopen(path_.c_str(), "we"));
    return file_ ? std::string() : fmt::format("{}: {}", path_, error_from_errno(errno, "open").text);
}

void name_file::add(block_id block) {
    write(block.text() + '\n', {{"block", block.text()}});
}

void name_file::add(char mark, block_id block) {
    write(fmt::format("{} {}\n", mark, block.text()), {{"mark", std::string(1, mark)}, {"block", block.text()}});
}

void name_file::write(std::string line, record fields) {
    ++count_;
    if (on_stdout() && out_.shape() == output_shape::json) return out_.add(type_, std::move(fields));
    if (on_stdout()) out_.write(line);
    if (file_) std::fwrite(line.data(), 1, line.size(), file_.get());
}

std::string name_file::problem() const {
    if (!file_ || (std::fflush(file_.get()) == 0 && std::ferror(file_.get()) == 0)) return {};
    return path_ + ": not all of it could be written; is the disk full?";
}

}  // namespace keepstore::keepctl
