#include "azure/error.hpp"
#include "azure/op_stats.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::azure;

TEST_CASE("the code decides, and the status where there is no known code", "[azure][error]") {
    struct row {
        unsigned status;
        const char* code;
        error_kind kind;
    };
    const row rows[] = {
        {404, "BlobNotFound", error_kind::not_found},
        {404, "ContainerNotFound", error_kind::no_such_bucket},
        {409, "ContainerBeingDeleted", error_kind::no_such_bucket},
        {404, "", error_kind::not_found},
        {403, "AuthenticationFailed", error_kind::bad_credentials},
        {401, "InvalidAuthenticationInfo", error_kind::bad_credentials},
        {403, "AuthorizationPermissionMismatch", error_kind::access_denied},
        {403, "AuthorizationFailure", error_kind::access_denied},
        {403, "", error_kind::access_denied},
        {412, "ConditionNotMet", error_kind::precondition},
        {409, "BlobAlreadyExists", error_kind::precondition},
        // A lease says nothing about the content: no condition of ours has failed.
        {412, "LeaseIdMissing", error_kind::access_denied},
        {409, "BlobImmutableDueToPolicy", error_kind::access_denied},
        {409, "BlobArchived", error_kind::access_denied},
        {412, "SourceConditionNotMet", error_kind::precondition},
        // The status is that of reading the source.
        {404, "CannotVerifyCopySource", error_kind::access_denied},
        {416, "InvalidRange", error_kind::invalid_range},
        {400, "Md5Mismatch", error_kind::bad_digest},
        {503, "ServerBusy", error_kind::slow_down},
        {500, "OperationTimedOut", error_kind::slow_down},
        {500, "InternalError", error_kind::server},
        {503, "", error_kind::slow_down},
        {429, "", error_kind::slow_down},
        {500, "NewCode", error_kind::server},
        {400, "InvalidHeaderValue", error_kind::invalid},
        {409, "NewCode", error_kind::invalid},
        {405, "UnsupportedHttpVerb", error_kind::unsupported},
    };
    for (const auto& [status, code, kind] : rows) {
        CAPTURE(status, code);
        CHECK(to_string(classify(status, code)) == to_string(kind));
    }
}

TEST_CASE("texts have the detail and then advice in Azure's terms", "[azure][error]") {
    const auto e = make_error(error_kind::no_such_bucket, "Azure list: 404 ContainerNotFound (request 1)");
    CHECK(e.text.starts_with("Azure list: 404 ContainerNotFound (request 1): The container does not exist"));
    CHECK(e == errc::unavailable);
    CHECK(kind_of(e) == error_kind::no_such_bucket);
    for (int i = 1; i <= static_cast<int>(error_kind::cancelled); ++i) {
        const auto text = advice(static_cast<error_kind>(i));
        CHECK(text.ends_with('.'));
        CHECK_FALSE(text.contains("S3"));
    }
}

TEST_CASE("operations and errors have the Go daemon's names", "[azure][stats]") {
    cloud::op_stats stats(stats_texts);
    for (std::size_t i = 0; i < operation_count; ++i) stats.count(static_cast<operation>(i));
    CHECK(stats.operations() == std::map<std::string, std::uint64_t>{{"create", 1},
                                                                     {"delete", 1},
                                                                     {"get", 1},
                                                                     {"get_metadata", 1},
                                                                     {"get_properties", 1},
                                                                     {"get_range", 1},
                                                                     {"list", 1},
                                                                     {"set_metadata", 1}});
    CHECK(stats.other_operations() == std::map<std::string, std::uint64_t>{
                                          {"copy", 1}, {"get_container", 1}, {"put_block", 1}, {"put_block_list", 1}});
    stats.failed(404, "BlobNotFound");
    stats.failed(0, "");
    stats.failed(500, "a code\nwith \"quotes\"");
    const auto got = stats.errors();
    CHECK(got.at("storage.AzureStorageServiceError 404 (BlobNotFound)") == 1);
    CHECK(got.at("*url.Error") == 1);
    CHECK(got.at("storage.AzureStorageServiceError 500 ()") == 1);
    CHECK(got.at("storage.AzureStorageServiceError 503 (ServerBusy)") == 0);
}
