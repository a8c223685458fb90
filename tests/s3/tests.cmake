keepstore_test(s3_test
    SOURCES
        s3/address_test.cpp
        s3/client_calls_test.cpp
        s3/client_corrections_test.cpp
        s3/client_faults_test.cpp
        s3/client_headers_test.cpp
        s3/client_test.cpp
        s3/credentials/credential_cache_test.cpp
        s3/credentials/credential_chain_test.cpp
        s3/credentials/credentials_test.cpp
        s3/error_test.cpp
        s3/listing_test.cpp
        s3/op_stats_test.cpp
        s3/probe_test.cpp
        s3/credentials/profile_file_test.cpp
        s3/redirect_test.cpp
        s3/sigv4_test.cpp
        s3/xml_test.cpp
    LINK keepstore::s3 OpenSSL::SSL OpenSSL::Crypto)
keepstore_test(s3_real_test
    SOURCES s3/radosgw_test.cpp
    LINK keepstore::s3 OpenSSL::SSL OpenSSL::Crypto nlohmann_json::nlohmann_json
    LABEL integration
    TIMEOUT 120
    S3)
