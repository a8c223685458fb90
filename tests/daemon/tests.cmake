keepstore_test(daemon_config_test
    SOURCES
        daemon/check_test.cpp
        daemon/config_driver_test.cpp
        daemon/config_loader_test.cpp
        daemon/config_scalars_test.cpp
        daemon/config_value_test.cpp
        daemon/flags_test.cpp
        daemon/listen_address_test.cpp
    LINK keepstore::config)
target_compile_definitions(daemon_config_test PRIVATE KEEPSTORE_CONF_DIR="${PROJECT_SOURCE_DIR}/conf")
keepstore_test(daemon_probe_test
    SOURCES daemon/probe_command_test.cpp
    LINK keepstore::daemon nlohmann_json::nlohmann_json)
