keepstore_test(keepctl_tests
    SOURCES
        keepctl/block_names_test.cpp
        keepctl/checkpoint_test.cpp
        keepctl/entry_test.cpp
        keepctl/exit_code_test.cpp
        keepctl/place_test.cpp
        keepctl/shards_test.cpp
    LINK keepstore::keepctl_cluster)
