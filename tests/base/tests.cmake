keepstore_test(base_tests
    SOURCES
        base/base_test.cpp
        base/byte_range_test.cpp
    LINK keepstore::base)
