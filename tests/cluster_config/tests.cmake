keepstore_test(cluster_config_tests
    SOURCES
        cluster_config/credentials_test.cpp
        cluster_config/listen_address_test.cpp
        cluster_config/loader_test.cpp
        cluster_config/rules_test.cpp
        cluster_config/scalars_test.cpp
        cluster_config/value_test.cpp
    LINK keepstore::cluster_config)
target_compile_definitions(cluster_config_tests PRIVATE KEEPSTORE_CONF_DIR="${PROJECT_SOURCE_DIR}/conf")
