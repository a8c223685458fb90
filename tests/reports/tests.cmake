keepstore_test(reports_tests
    SOURCES
        reports/check_test.cpp
        reports/probe_test.cpp
    LINK keepstore::reports nlohmann_json::nlohmann_json)
