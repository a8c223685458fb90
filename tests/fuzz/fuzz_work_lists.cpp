/// Arbitrary bytes as a pull list and as a trash list: a list, or an error of the kinds that have a status; bytes after
/// a complete list change nothing.
#include "protocol/work_lists.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

using namespace keepstore;

namespace {

template <class List>
void check(const List& list, const List& with_more) {
    if (!list) {
        if (list.error() != errc::io_error && list.error() != errc::bad_request && list.error() != errc::too_large)
            std::abort();
    } else if (!with_more || with_more->size() != list->size()) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::string more = std::string(text) + "\n] more";
    check(protocol::parse_pull_list(text), protocol::parse_pull_list(more));
    check(protocol::parse_trash_list(text), protocol::parse_trash_list(more));
    return 0;
}
