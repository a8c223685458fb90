keepstore_test(net_tests
    SOURCES
        net/chunk_decoder_test.cpp
        net/connection_pool_test.cpp
        net/connector_test.cpp
        net/continue_memory_test.cpp
        net/http_client_test.cpp
        net/response_head_test.cpp
        net/time_limits_test.cpp
        net/tls_test.cpp
        net/upload_test.cpp
        net/url_test.cpp
    LINK keepstore::net OpenSSL::SSL)
