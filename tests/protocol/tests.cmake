keepstore_test(protocol_tests
    SOURCES
        protocol/block_fetch_test.cpp
        protocol/host_rules_test.cpp
        protocol/index_lines_test.cpp
        protocol/locator_test.cpp
        protocol/proven_stream_test.cpp
        protocol/remote_locator_test.cpp
        protocol/remote_services_test.cpp
        protocol/remote_token_test.cpp
        protocol/rendezvous_test.cpp
        protocol/retry_schedule_test.cpp
        protocol/signature_test.cpp
        protocol/work_lists_test.cpp
    LINK keepstore::protocol OpenSSL::SSL)
