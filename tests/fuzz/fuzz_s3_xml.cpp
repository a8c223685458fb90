/// Arbitrary bytes as every document of S3, as a profile file, and as a date: a value or an error, and never a
/// truncated listing without a continuation, or an end of a listing that the document does not state.
#include "cloud/time.hpp"
#include "s3/credentials/profile_file.hpp"
#include "s3/sigv4.hpp"
#include "s3/xml.hpp"

#include <cstdlib>
#include <string_view>

using namespace keepstore::s3;

namespace {

/// Asserts that an error has a text.
template <class T>
void check(const keepstore::result<T>& got) {
    if (!got && got.error().text.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto page = parse_list_page(text);
    check(page);
    if (page && page->truncated && page->next.empty()) std::abort();
    if (page && text.find("IsTruncated") == std::string_view::npos) std::abort();
    if (page) {
        for (const auto& object : page->objects) {
            if (object.key.empty()) std::abort();
        }
    }
    const auto uploads = parse_upload_page(text);
    check(uploads);
    if (uploads && uploads->truncated && uploads->next_key.empty()) std::abort();
    check(parse_copy_result(text));
    const auto id = parse_initiate_multipart(text);
    check(id);
    if (id && id->empty()) std::abort();
    check(parse_complete_multipart(text));
    check(parse_sts_credentials(text));
    const auto failed = parse_error_document(text);
    if (failed && failed->code.empty()) std::abort();
    static_cast<void>(parse_profiles(text, profile_file::config));
    static_cast<void>(parse_profiles(text, profile_file::credentials));
    if (const auto date = parse_iso_date(text); date && format_signing_time(*date).size() < 16) std::abort();
    static_cast<void>(parse_http_date(text));
    return 0;
}
