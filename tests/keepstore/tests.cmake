keepstore_test(core_tests
    SOURCES
        keepstore/block_store_test.cpp
        keepstore/values_test.cpp
    LINK keepstore::core)
