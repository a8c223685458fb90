keepstore_test(core_tests
    SOURCES
        keepstore/block_store_test.cpp
        keepstore/byte_range_test.cpp
        keepstore/patchwork_read_test.cpp
        keepstore/patchwork_repair_test.cpp
        keepstore/pull_test.cpp
        keepstore/remote_test.cpp
        keepstore/scrub_batch_test.cpp
        keepstore/scrub_course_test.cpp
        keepstore/scrub_test.cpp
        keepstore/values_test.cpp
        keepstore/verified_read_test.cpp
    LINK keepstore::core keepstore::net OpenSSL::SSL)
