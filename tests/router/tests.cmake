keepstore_test(router_tests
    SOURCES
        router/access_log_test.cpp
        router/admin_routes_test.cpp
        router/app_test.cpp
        router/limiter_test.cpp
        router/metrics_test.cpp
        router/range_header_test.cpp
        router/range_test.cpp
        router/redact_test.cpp
        router/request_id_test.cpp
        router/request_metrics_test.cpp
        router/routes_test.cpp
        router/scrub_test.cpp
        router/status_page_test.cpp
        router/status_test.cpp
        router/tokens_test.cpp
    LINK keepstore::router nlohmann_json::nlohmann_json)
