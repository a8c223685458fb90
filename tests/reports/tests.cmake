keepstore_test(reports_tests
    SOURCES
        reports/check_test.cpp
        reports/config_reference_test.cpp
        reports/probe_test.cpp
    LINK keepstore::reports nlohmann_json::nlohmann_json)
target_compile_definitions(reports_tests PRIVATE KEEPSTORE_CONF_DIR="${PROJECT_SOURCE_DIR}/conf")
