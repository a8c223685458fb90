#include "keepctl/balance/references.hpp"

#include "base/text.hpp"
#include "base/units.hpp"
#include "keepctl/balance/rules.hpp"
#include "protocol/locator.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <tuple>

namespace keepstore::keepctl::balance {
namespace {

/// "0:3:a": position, size, name of a part of a file.
bool is_file_part(std::string_view word) {
    const auto first = word.find(':');
    const auto second = first == std::string_view::npos ? first : word.find(':', first + 1);
    return second != std::string_view::npos && is_number(word.substr(0, first)) &&
           is_number(word.substr(first + 1, second - first - 1)) && second + 1 < word.size();
}

std::unexpected<error> system_failure(std::string_view what) {
    return std::unexpected(error_from_errno(errno, what));
}

auto order_of(const reference& r) {
    return std::tie(r.block, r.size, r.class_number);
}

result<void> read_at(int fd, std::uint64_t offset, std::span<reference> into) {
    auto bytes = std::as_writable_bytes(into);
    while (!bytes.empty()) {
        const auto n = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return system_failure("reading back references");
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return success();
}

}  // namespace

result<std::uint16_t> reference_names::number_of(std::string_view name) {
    const auto found = std::ranges::find(all, name);
    if (found != all.end()) return static_cast<std::uint16_t>(found - all.begin());
    if (all.size() == limits::balance_classes_max) return fail(errc::too_large, "too many storage classes");
    all.emplace_back(name);
    return static_cast<std::uint16_t>(all.size() - 1);
}

std::unexpected<error> reference_parser::bad(std::string_view what) const {
    return fail(errc::bad_request, fmt::format("line {}: {}", line_, what));
}

result<void> reference_parser::parse(std::string_view piece, std::vector<reference>& out) {
    while (!piece.empty()) {
        if (state_ == state::ended) return bad("text after the empty line that ends the list");
        if (state_ == state::line_start) {
            if (piece.front() == '\n') {
                state_ = state::ended;
                piece.remove_prefix(1);
                continue;
            }
            state_ = piece.front() == '.' ? state::stream_name : state::plain;
        }
        const auto end = piece.find_first_of(state_ == state::plain ? std::string_view("\n") : std::string_view(" \n"));
        const auto part = piece.substr(0, end);
        if (text_.size() + part.size() > limits::balance_line_bytes_max) return bad("too long");
        text_ += part;
        if (end == std::string_view::npos) break;
        const bool line_ends = piece[end] == '\n';
        piece.remove_prefix(end + 1);
        KS_CHECK(state_ == state::plain ? end_plain(out) : end_word(line_ends, out));
        text_.clear();
        if (!line_ends) continue;
        state_ = state::line_start;
        ++line_;
    }
    return success();
}

// hash+size[ class=n]...
result<void> reference_parser::end_plain(std::vector<reference>& out) {
    std::string_view rest = text_;
    const auto first = rest.substr(0, rest.find(' '));
    const auto block = protocol::locator::parse(first);
    if (!block || !block->size) return bad("expected hash+size");
    rest.remove_prefix(first.size());
    reference found{.block = block->hash, .size = static_cast<std::uint32_t>(*block->size), .seen_at = seen_at_};
    if (rest.empty()) out.push_back(found);
    while (!rest.empty()) {
        rest.remove_prefix(1);  // The space.
        const auto word = rest.substr(0, rest.find(' '));
        rest.remove_prefix(word.size());
        const auto equals = word.find('=');
        const auto name = word.substr(0, equals);
        const auto copies =
            equals == std::string_view::npos ? std::nullopt : parse_number<std::uint16_t>(word.substr(equals + 1));
        if (!is_class_name(name) || !copies || *copies > limits::balance_copies_max)
            return bad("expected CLASS=COPIES after the block");
        KS_TRY(found.class_number, names_.number_of(name));
        found.copies = *copies;
        out.push_back(found);
    }
    return success();
}

// A manifest's line: name of the stream, locators, parts of files.
result<void> reference_parser::end_word(bool line_ends, std::vector<reference>& out) {
    switch (state_) {
        case state::stream_name:
            if (text_ != "." && !text_.starts_with("./")) return bad("a manifest's line begins with . or ./");
            state_ = state::locators;
            break;
        case state::locators:
            if (const auto block = protocol::locator::parse(text_); block && block->size) {
                // Every empty file names the empty block, and it need not be stored.
                if (block->hash != md5_of_nothing)
                    out.push_back(
                        {.block = block->hash, .size = static_cast<std::uint32_t>(*block->size), .seen_at = seen_at_});
                break;
            }
            if (!is_file_part(text_)) return bad("expected a locator or a part of a file in a manifest");
            state_ = state::file_parts;
            break;
        default:
            if (!is_file_part(text_)) return bad("expected a part of a file in a manifest");
            break;
    }
    if (line_ends && state_ != state::file_parts) return bad("a manifest's line without a file");
    return success();
}

result<void> reference_parser::expect_end() const {
    if (state_ != state::ended) return bad("the file is cut off: it must end with an empty line");
    return success();
}

reference_spool::reference_spool(std::string folder, std::size_t memory_bytes)
    : folder_(std::move(folder)), memory_bytes_(memory_bytes) {}

result<void> reference_spool::add(std::span<const reference> some) {
    for (const auto& r : some) recent_[r.block.bytes[0]].push_back(r);
    size_ += some.size();
    in_memory_ += some.size();
    if (in_memory_ * sizeof(reference) > memory_bytes_) return spill();
    return success();
}

result<void> reference_spool::spill() {
    if (!file_) {
        std::string path = folder_ + "/references-XXXXXX";
        file_ = unique_fd(::mkostemp(path.data(), O_CLOEXEC));
        if (!file_) return system_failure("a file for references in the state folder");
        ::unlink(path.c_str());
    }
    for (std::size_t part = 0; part < parts; ++part) {
        auto& all = recent_[part];
        if (all.empty()) continue;
        chunks_[part].push_back({.offset = file_size_, .count = all.size()});
        auto bytes = std::as_bytes(std::span(all));
        while (!bytes.empty()) {
            const auto n = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(file_size_));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return system_failure("writing references to the state folder");
            bytes = bytes.subspan(static_cast<std::size_t>(n));
            file_size_ += static_cast<std::uint64_t>(n);
        }
        std::vector<reference>().swap(all);
    }
    in_memory_ = 0;
    return success();
}

result<std::vector<reference>> reference_spool::load(std::string_view prefix) const {
    // The range of first bytes that begin with the prefix.
    std::size_t first = 0;
    std::size_t count = parts;
    for (std::size_t i = 0; i < prefix.size() && i < 2; ++i) {
        count /= 16;
        first += static_cast<std::size_t>(hex_value(prefix[i])) * count;
    }
    std::vector<reference> out;
    for (std::size_t part = first; part < first + count; ++part) {
        for (const auto& c : chunks_[part]) {
            const auto at = out.size();
            out.resize(at + c.count);
            KS_CHECK(read_at(file_.get(), c.offset, std::span(out).subspan(at)));
        }
        out.insert(out.end(), recent_[part].begin(), recent_[part].end());
    }
    if (prefix.size() > 2) std::erase_if(out, [&](const reference& r) { return !r.block.hex().starts_with(prefix); });
    std::ranges::sort(out, [](const reference& a, const reference& b) { return order_of(a) < order_of(b); });
    auto end = out.begin();
    for (auto each = out.begin(); each != out.end(); ++each) {
        if (end != out.begin() && order_of(*(end - 1)) == order_of(*each)) {
            auto& kept = *(end - 1);
            kept.copies = std::max(kept.copies, each->copies);
            kept.seen_at = std::max(kept.seen_at, each->seen_at);
        } else {
            *end++ = *each;
        }
    }
    out.erase(end, out.end());
    return out;
}

result<std::uint64_t> read_references(const std::string& path, reference_names& names, std::uint32_t seen_at,
                                      reference_spool& into) {
    const unique_fd opened(path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const auto named = [&](error e) {
        e.text = fmt::format("{}: {}", path, e.text);
        return std::unexpected(std::move(e));
    };
    if (!opened) return named(error_from_errno(errno, "open"));
    reference_parser parser(names, seen_at);
    std::vector<char> buffer(256 * KiB);
    std::vector<reference> found;
    std::uint64_t count = 0;
    while (true) {
        const auto n = ::read(opened.get(), buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return named(error_from_errno(errno, "read"));
        if (n == 0) break;
        found.clear();
        if (auto parsed = parser.parse({buffer.data(), static_cast<std::size_t>(n)}, found); !parsed)
            return named(parsed.error());
        count += found.size();
        KS_CHECK(into.add(found));
    }
    if (auto end = parser.expect_end(); !end) return named(end.error());
    return count;
}

}  // namespace keepstore::keepctl::balance
