keepstore_test(daemon_tests
    SOURCES
        daemon/check_test.cpp
        daemon/flags_test.cpp
        daemon/probe_command_test.cpp
    LINK keepstore::daemon nlohmann_json::nlohmann_json)
