keepstore_test(store_tests
    SOURCES
        store/block_store_faults_test.cpp
        store/block_store_test.cpp
        store/lists/pull_limits_test.cpp
        store/lists/pull_test.cpp
        store/lists/work_queue_test.cpp
        store/memory_progress_test.cpp
        store/memory_test.cpp
        store/mount_test.cpp
        store/outage_test.cpp
        store/stalled_volume_test.cpp
        store/read/slow_stream_test.cpp
        store/read/stitched_read_test.cpp
        store/read/unkept_waypoints_test.cpp
        store/read/verified_read_test.cpp
        store/remote/remote_list_test.cpp
        store/remote/remote_test.cpp
    SOURCES_APART
        store/scrub/stitched_repair_test.cpp
        store/scrub/scrub_batch_test.cpp
        store/scrub/scrub_course_test.cpp
        store/scrub/scrub_memory_test.cpp
        store/scrub/scrub_test.cpp
    LINK keepstore::store OpenSSL::SSL
    COST 20)
