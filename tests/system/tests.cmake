# Process-level tests: Python's standard library against the real daemon, one ctest entry per file (tests/system/*.py).

add_executable(fsdown support/fsdown.c)
target_compile_options(fsdown PRIVATE -Wall -Wextra -Wconversion)

find_package(Python3 3.9 COMPONENTS Interpreter)

# keepstore_system_test(NAME [TIMEOUT seconds] [ALONE]): runs system/NAME.py. Exit code 77: everything was skipped.
# ALONE: takes both cores or measures times, so nothing else runs beside it.
function(keepstore_system_test name)
    cmake_parse_arguments(arg "ALONE" "TIMEOUT" "" ${ARGN})
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()
    add_test(NAME system.${name}
        COMMAND Python3::Interpreter -B ${CMAKE_CURRENT_SOURCE_DIR}/system/${name}.py)
    set_tests_properties(system.${name} PROPERTIES
        LABELS system
        TIMEOUT ${arg_TIMEOUT}
        SKIP_RETURN_CODE 77
        ENVIRONMENT "KEEPSTORE_BINARY=$<TARGET_FILE:keepstore>;KEEPSTORE_FSDOWN=$<TARGET_FILE:fsdown>")
    if(arg_ALONE)
        set_tests_properties(system.${name} PROPERTIES RUN_SERIAL ON)
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
    keepstore_system_test(test_corruption_matrix TIMEOUT 600)
    keepstore_system_test(test_waypoints TIMEOUT 300)
    keepstore_system_test(test_waypoints_filesystems)
    keepstore_system_test(test_touch_trash)
    keepstore_system_test(test_trash_lists)
    keepstore_system_test(test_index)
    keepstore_system_test(test_mounts_pull)
    keepstore_system_test(test_metrics)
    keepstore_system_test(test_logs)
    keepstore_system_test(test_limiter)
    keepstore_system_test(test_deadlines)
    keepstore_system_test(test_cancellation)
    keepstore_system_test(test_slow_clients)
    keepstore_system_test(test_descriptors)
    keepstore_system_test(test_drain)
    keepstore_system_test(test_tls)
    keepstore_system_test(test_process)
    keepstore_system_test(test_notify)
    keepstore_system_test(test_concurrency)
    keepstore_system_test(test_kill TIMEOUT 600)
    keepstore_system_test(test_power_cut TIMEOUT 600)
    keepstore_system_test(test_failing_volumes)
    keepstore_system_test(test_scrub)
endif()
