keepstore_test(daemon_tests
    SOURCES
        daemon/flags_test.cpp
        daemon/probe_command_test.cpp
    LINK keepstore::daemon)
