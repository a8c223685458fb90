keepstore_test(digest_tests
    SOURCES
        digest/engine_batching_test.cpp
        digest/engine_test.cpp
        digest/md5_lanes_test.cpp
        digest/md5_test.cpp
        digest/waypoints_test.cpp
    LINK keepstore::digest OpenSSL::Crypto)

# The engine's tests once more with each target forced by the environment; a CPU without it uses its best one.
keepstore_timeout(digest_timeout 120)
foreach(target avx512 avx2 sse4 scalar)
    add_test(NAME unit.digest_engine_on_${target} COMMAND digest_tests "[engine]")
    set_tests_properties(unit.digest_engine_on_${target} PROPERTIES
        LABELS unit TIMEOUT ${digest_timeout} ENVIRONMENT KEEPSTORE_DIGEST_TARGET=${target})
endforeach()
