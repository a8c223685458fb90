keepstore_test(cloud_test
    SOURCES
        cloud/content_range_test.cpp
        cloud/retry_test.cpp
        cloud/time_test.cpp
    LINK keepstore::cloud)
