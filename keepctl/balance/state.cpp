#include "keepctl/balance/state.hpp"

#include "base/text.hpp"
#include "base/units.hpp"
#include "keepctl/balance/rules.hpp"
#include "keepctl/cluster/local_file.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <memory>

namespace keepstore::keepctl::balance {
namespace {

constexpr std::string_view references_format = "keepctl-references-1";
constexpr std::size_t records_at_a_time = 8 * KiB;

struct file_closer {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using file = std::unique_ptr<std::FILE, file_closer>;

struct references_header {
    std::uint64_t count = 0;
    std::vector<std::string> classes;
};

result<references_header> read_header(std::FILE* from) {
    std::string line;
    for (int c = std::getc(from); c != '\n'; c = std::getc(from)) {
        if (c == EOF || line.size() > limits::balance_line_bytes_max)
            return fail(errc::io_error, "references.bin is damaged");
        line += static_cast<char>(c);
    }
    references_header out;
    std::string_view rest = line;
    for (std::size_t word_number = 0; !rest.empty(); ++word_number) {
        const auto word = take_part(rest, ' ');
        if (word_number == 0 && word != references_format)
            return fail(errc::io_error, "references.bin has another format");
        if (word_number == 1) {
            const auto count = parse_number<std::uint64_t>(word);
            if (!count) return fail(errc::io_error, "references.bin is damaged");
            out.count = *count;
        }
        if (word_number < 2) continue;
        if (!is_class_name(word)) return fail(errc::io_error, "references.bin is damaged");
        out.classes.emplace_back(word);
    }
    return out;
}

}  // namespace

outcome<state> state::open(const std::string& state_folder) {
    const std::string folder = state_folder + "/balance";
    if (auto made = make_folder(folder); !made) return refuse(exit_code::usage, "--state-dir: " + made.error().text);
    auto lock = lock_file(folder + "/lock");
    if (!lock && lock.error() == errc::unavailable)
        return refuse(exit_code::conflict, "another balance run is active: it holds " + folder + "/lock");
    if (!lock) return refuse(exit_code::usage, "--state-dir: " + lock.error().text);
    return state(folder, std::move(*lock));
}

std::optional<last_run> state::load(std::string& note) const {
    auto text = read_file(folder_ + "/last.json", limits::balance_state_bytes_max);
    if (!text) {
        if (text.error() != errc::not_found) note = fmt::format("the last run is not known: {}", text.error().text);
        return std::nullopt;
    }
    auto out = decode_last_run(*text);
    if (!out) note = folder_ + "/last.json has another format, or is damaged: the last run is not known";
    return out;
}

result<void> state::save(const last_run& run) const {
    return replace_file(folder_ + "/last.json", encode_last_run(run));
}

result<std::uint64_t> state::load_references(reference_names& names, std::uint32_t oldest,
                                             reference_spool& into) const {
    const file from(std::fopen((folder_ + "/references.bin").c_str(), "re"));
    if (!from) return std::unexpected(error_from_errno(errno, "references.bin"));
    KS_TRY(const auto header, read_header(from.get()));
    std::vector<std::uint16_t> numbers;
    for (const auto& name : header.classes) {
        KS_TRY(const auto number, names.number_of(name));
        numbers.push_back(number);
    }
    std::vector<reference> some(records_at_a_time);
    std::uint64_t count = 0;
    std::uint64_t kept = 0;
    while (true) {
        const auto n = std::fread(some.data(), sizeof(reference), some.size(), from.get());
        if (n == 0) break;
        count += n;
        std::size_t end = 0;
        for (std::size_t i = 0; i < n; ++i) {
            auto r = some[i];
            if (r.class_number != reference::by_rules) {
                if (r.class_number >= numbers.size()) return fail(errc::io_error, "references.bin is damaged");
                r.class_number = numbers[r.class_number];
            }
            if (r.seen_at >= oldest) some[end++] = r;
        }
        kept += end;
        KS_CHECK(into.add(std::span(some).first(end)));
    }
    if (std::ferror(from.get()) || count != header.count) return fail(errc::io_error, "references.bin is damaged");
    return kept;
}

result<void> state::save_references(const reference_names& names, const reference_spool& all) const {
    KS_TRY(auto to, replacement_file::open(folder_ + "/references.bin"));
    // The count is known at the end, and written over the zeros.
    std::string header = fmt::format("{} {:020}", references_format, 0);
    for (const auto& name : names.all) header += " " + name;
    KS_CHECK(to.write(header + "\n"));
    std::uint64_t count = 0;
    for (unsigned part = 0; part < 256; ++part) {
        KS_TRY(const auto records, all.load(fmt::format("{:02x}", part)));
        count += records.size();
        KS_CHECK(to.write({reinterpret_cast<const char*>(records.data()), records.size() * sizeof(reference)}));
    }
    KS_CHECK(to.write_at(references_format.size() + 1, fmt::format("{:020}", count)));
    return to.commit();
}

}  // namespace keepstore::keepctl::balance
