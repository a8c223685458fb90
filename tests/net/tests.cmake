keepstore_test(net_client_tests
    SOURCES
        net/client/connection_pool_test.cpp
        net/client/connector_test.cpp
        net/client/expect_continue_cache_test.cpp
        net/client/http_client_test.cpp
        net/client/proxy_test.cpp
        net/client/response_head_test.cpp
        net/client/time_limits_test.cpp
        net/client/tls_test.cpp
        net/client/upload_test.cpp
        net/http/chunk_decoder_test.cpp
        net/http/url_test.cpp
    LINK keepstore::net_client OpenSSL::SSL)

keepstore_test(net_server_tests
    SOURCES
        net/server/head_parser_test.cpp
        net/server/server_test.cpp
        net/server/session_limits_test.cpp
        net/server/session_test.cpp
        net/server/slow_reader_test.cpp
        net/server/tls_test.cpp
    LINK keepstore::net_server OpenSSL::SSL)
