/// Any bytes as a pull list and as a trash list: a list, or an error of the kinds that have a status. Bytes after a
/// complete list change nothing, and a list that is encoded is parsed to the same items.
#include "protocol/work_lists.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

using namespace keepstore;

namespace {

template <class List, class Parse>
void check(const List& list, const List& with_more, Parse parse) {
    if (!list) {
        if (list.error() != errc::io_error && list.error() != errc::bad_request && list.error() != errc::too_large)
            std::abort();
    } else {
        const auto again = parse(protocol::encode_list(*list));
        if (!with_more || *with_more != *list || !again || *again != *list) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::string more = std::string(text) + "\n] more";
    check(protocol::parse_pull_list(text), protocol::parse_pull_list(more), protocol::parse_pull_list);
    check(protocol::parse_trash_list(text), protocol::parse_trash_list(more), protocol::parse_trash_list);
    return 0;
}
