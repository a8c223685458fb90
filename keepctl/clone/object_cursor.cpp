#include "keepctl/clone/object_cursor.hpp"

#include "base/hex.hpp"
#include "base/limits.hpp"

#include <utility>

namespace keepstore::keepctl {
namespace {

std::string folder_of(object_kind kind) {
    using names = volumes::s3::object_names;
    return std::string(kind == object_kind::marker  ? names::recent_folder
                       : kind == object_kind::trash ? names::trash_folder
                                                    : std::string_view());
}

}  // namespace

object_cursor::object_cursor(const clone_bucket& of, object_kind kind, const std::string& digits, lister list)
    : bucket_(of), kind_(kind), folder_(folder_of(kind)), list_(std::move(list)) {
    where_.prefix = folder_ + of.names.key_of_digits(digits);
}

awaitable<result<void>> object_cursor::load(deadline until) {
    while (needs_page()) {
        // A merge would take what comes later for missing.
        if (unordered_) co_return fail(errc::io_error, "the service lists names out of order");
        if (begun_ && !page_.truncated) {
            ended_ = true;
            break;
        }
        if (begun_) where_.continue_after(page_);
        KS_CO_TRY(page_, co_await list_(where_, until));
        begun_ = true;
        next_ = 0;
        parse_next();
    }
    co_return success();
}

void object_cursor::advance() {
    current_.reset();
    parse_next();
}

// Finds the next object of this kind in the page.
void object_cursor::parse_next() {
    while (next_ < page_.objects.size()) {
        auto& listed = page_.objects[next_++];
        // Markers, trash and others come after all blocks, whose keys begin with a hex digit.
        if (kind_ == object_kind::block && listed.key >= "g") {
            ended_ = true;
            return;
        }
        // Counted by count_foreign() (survey.hpp).
        if (kind_ == object_kind::block && !is_lower_hex(std::string_view(listed.key).substr(0, 1))) continue;
        const auto name = listed.key.starts_with(folder_)
                              ? bucket_.names.parse(std::string_view(listed.key).substr(folder_.size()))
                              : std::nullopt;
        if (!name || listed.size > limits::block_size_bytes_max) {
            ++foreign_;
            continue;
        }
        if (last_ && *name <= *last_) unordered_ = ended_ = true;
        if (unordered_) return;
        last_ = *name;
        current_ = object{
            .name = *name, .size = listed.size, .etag = std::move(listed.etag), .content_md5 = listed.content_md5};
        return;
    }
}

}  // namespace keepstore::keepctl
