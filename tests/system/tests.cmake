# Process-level tests: Python's standard library against the real daemon, one ctest entry per file (tests/system/*.py).

add_executable(fsdown support/fsdown.c)
target_compile_options(fsdown PRIVATE -Wall -Wextra -Wconversion)

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
    pkg_check_modules(SECCOMP QUIET IMPORTED_TARGET libseccomp)
endif()
if(SECCOMP_FOUND)
    add_executable(sandbox support/sandbox.c)
    target_compile_options(sandbox PRIVATE -Wall -Wextra -Wconversion)
    target_link_libraries(sandbox PRIVATE PkgConfig::SECCOMP)
endif()

find_package(Python3 3.9 COMPONENTS Interpreter)

# The S3 server: started before the first test that needs it, stopped after the last one of them (or with ctest, when that is
# interrupted). Without the packages for it the start is skipped, and so is each of those tests.
if(Python3_FOUND)
    function(s3_server_fixture what property)
        add_test(NAME system.s3_server_${what}
            COMMAND Python3::Interpreter -B -m support.radosgw ${what} ${CMAKE_BINARY_DIR}/s3-server
                --publish ${KEEPSTORE_TEST_S3} --with-parent
            WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/system)
        set_tests_properties(system.s3_server_${what} PROPERTIES
            LABELS system TIMEOUT 300 SKIP_RETURN_CODE 77 ${property} s3_server)
    endfunction()
    s3_server_fixture(start FIXTURES_SETUP)
    s3_server_fixture(stop FIXTURES_CLEANUP)
endif()

# keepstore_system_test(NAME [TIMEOUT seconds] [ALONE] [S3] [SLOW]): runs system/NAME.py. Exit code 77: everything was
# skipped. ALONE: takes both cores, measures times, or disturbs the S3 server, so it runs alone. S3: needs that server.
# SLOW: takes more than half a minute, so it starts before the others and does not run on when they have ended.
function(keepstore_system_test name)
    cmake_parse_arguments(arg "ALONE;S3;SLOW" "TIMEOUT" "" ${ARGN})
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 300)
    endif()
    keepstore_timeout(timeout ${arg_TIMEOUT})
    add_test(NAME system.${name}
        COMMAND Python3::Interpreter -B ${CMAKE_CURRENT_SOURCE_DIR}/system/${name}.py)
    set_tests_properties(system.${name} PROPERTIES
        LABELS system
        TIMEOUT ${timeout}
        SKIP_RETURN_CODE 77
        ENVIRONMENT "KEEPSTORE_BINARY=$<TARGET_FILE:keepstore>;KEEPSTORE_FSDOWN=$<TARGET_FILE:fsdown>")
    if(arg_S3)
        set_property(TEST system.${name} PROPERTY FIXTURES_REQUIRED s3_server)
        set_property(TEST system.${name} APPEND PROPERTY ENVIRONMENT KEEPSTORE_TEST_S3=${KEEPSTORE_TEST_S3})
    endif()
    if(arg_ALONE)
        set_tests_properties(system.${name} PROPERTIES RUN_SERIAL ON)
    endif()
    if(arg_SLOW)
        set_tests_properties(system.${name} PROPERTIES COST 100)
    endif()
endfunction()

if(TARGET keepstore AND Python3_FOUND)
    keepstore_system_test(test_routes)
    keepstore_system_test(test_auth)
    keepstore_system_test(test_signatures)
    keepstore_system_test(test_framing)
    keepstore_system_test(test_put_get)
    keepstore_system_test(test_range)
    keepstore_system_test(test_storage_classes)
    keepstore_system_test(test_corruption)
    keepstore_system_test(test_corruption_matrix SLOW TIMEOUT 600)
    keepstore_system_test(test_waypoints SLOW TIMEOUT 600)
    keepstore_system_test(test_waypoints_filesystems)
    keepstore_system_test(test_touch_trash)
    keepstore_system_test(test_trash_lists)
    keepstore_system_test(test_index)
    keepstore_system_test(test_mounts_pull)
    keepstore_system_test(test_pull SLOW)
    keepstore_system_test(test_federation)
    keepstore_system_test(test_metrics)
    keepstore_system_test(test_logs)
    keepstore_system_test(test_limiter)
    keepstore_system_test(test_deadlines)
    keepstore_system_test(test_cancellation)
    keepstore_system_test(test_slow_clients SLOW)
    keepstore_system_test(test_descriptors)
    keepstore_system_test(test_drain)
    keepstore_system_test(test_tls)
    keepstore_system_test(test_process)
    keepstore_system_test(test_notify)
    keepstore_system_test(test_load_balancer SLOW)
    keepstore_system_test(test_unit SLOW)
    if(TARGET sandbox)
        set_property(TEST system.test_unit APPEND PROPERTY ENVIRONMENT KEEPSTORE_SANDBOX_PROGRAM=$<TARGET_FILE:sandbox>)
    endif()
    keepstore_system_test(test_concurrency)
    keepstore_system_test(test_kill TIMEOUT 600)
    keepstore_system_test(test_power_cut TIMEOUT 600)
    keepstore_system_test(test_failing_volumes)
    keepstore_system_test(test_s3_rig SLOW S3)
    keepstore_system_test(test_s3_faults SLOW S3 TIMEOUT 400)
    keepstore_system_test(test_s3_failover SLOW S3 TIMEOUT 400)
    keepstore_system_test(test_s3_parts SLOW S3 TIMEOUT 240)
    keepstore_system_test(test_s3_pull S3 TIMEOUT 240)
    keepstore_system_test(test_s3_readers SLOW S3 TIMEOUT 240)
    keepstore_system_test(test_s3_outage ALONE TIMEOUT 400)
    keepstore_system_test(test_s3_probe S3)
    keepstore_system_test(test_s3_roles S3)
    keepstore_system_test(test_scrub)
endif()
