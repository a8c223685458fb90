keepstore_test(base_tests
    SOURCES
        base/async_condition_test.cpp
        base/async_queue_test.cpp
        base/async_semaphore_test.cpp
        base/base_test.cpp
        base/blocking_pool_test.cpp
        base/byte_range_test.cpp
        base/counter_test.cpp
        base/crc32c_test.cpp
        base/error_test.cpp
        base/event_loop_group_test.cpp
        base/hex_test.cpp
        base/rate_limiter_test.cpp
        base/recent_lines_test.cpp
        base/single_flight_test.cpp
        base/text_test.cpp
    LINK keepstore::base)
