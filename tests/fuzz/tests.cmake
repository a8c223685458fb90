# Fuzz targets: fuzz/fuzz_NAME.cpp with seeds in fuzz/corpus/NAME, each for a few seconds in every test run.
#
# With KEEPSTORE_FUZZERS (the asan preset) they are libFuzzer programs in which the code under test is compiled once more
# with coverage; scripts/fuzz runs them for longer. Otherwise a small driver replays the seeds and mutations of them.

if(NOT KEEPSTORE_FUZZERS)
    add_library(keepstore_fuzz_replay STATIC fuzz/replay.cpp)
    target_link_libraries(keepstore_fuzz_replay PRIVATE keepstore::options)
endif()

# keepstore_fuzz(NAME COVER sources, relative to the project LINK targets... [SEEDS more folders of seeds])
function(keepstore_fuzz name)
    cmake_parse_arguments(arg "" "" "COVER;LINK;SEEDS" ${ARGN})
    set(target fuzz_${name})
    add_executable(${target} fuzz/${target}.cpp)
    target_link_libraries(${target} PRIVATE keepstore::options ${arg_LINK})
    set(seeds ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name} ${arg_SEEDS})
    if(KEEPSTORE_FUZZERS)
        list(TRANSFORM arg_COVER PREPEND ${PROJECT_SOURCE_DIR}/)
        target_sources(${target} PRIVATE ${arg_COVER})
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
        # In a batch the library has them beside functions that are needed: the first definition, the covered one, counts.
        target_link_options(${target} PRIVATE -fsanitize=fuzzer -Wl,-z,muldefs)
        # libFuzzer adds new inputs to the first folder, which must not be in the source tree.
        set(found ${CMAKE_CURRENT_BINARY_DIR}/fuzz/${name})
        file(MAKE_DIRECTORY ${found})
        add_test(NAME fuzz.${name} COMMAND ${target} -max_total_time=5 -timeout=10 -verbosity=0
            -artifact_prefix=${CMAKE_CURRENT_BINARY_DIR}/fuzz/${name}- ${found} ${seeds})
    else()
        target_link_libraries(${target} PRIVATE keepstore_fuzz_replay)
        target_precompile_headers(${target} REUSE_FROM keepstore_pch)
        add_test(NAME fuzz.${name} COMMAND ${target} ${seeds})
    endif()
    keepstore_timeout(timeout 60)
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT ${timeout})
endfunction()

keepstore_fuzz(locator COVER protocol/locator.cpp LINK keepstore::protocol)
keepstore_fuzz(signature COVER protocol/signature.cpp protocol/locator.cpp LINK keepstore::protocol)
keepstore_fuzz(index_lines COVER protocol/index_lines.cpp LINK keepstore::protocol)
keepstore_fuzz(work_lists COVER protocol/work_lists.cpp LINK keepstore::protocol)
keepstore_fuzz(request_head COVER net/server/head_parser.cpp LINK keepstore::net_server)
keepstore_fuzz(range_header COVER router/range_header.cpp LINK keepstore::router)
keepstore_fuzz(chunked_body COVER net/http/chunk_decoder.cpp LINK keepstore::net_client)
keepstore_fuzz(response_head COVER net/client/response_head.cpp net/http/url.cpp LINK keepstore::net_client)
keepstore_fuzz(proxy COVER net/client/proxy.cpp net/http/url.cpp LINK keepstore::net_client)
keepstore_fuzz(s3_xml
    COVER s3/xml.cpp cloud/time.cpp cloud/xml_reader.cpp s3/credentials/profile_file.cpp
    LINK keepstore::s3 pugixml::pugixml)
keepstore_fuzz(azure_documents
    COVER azure/xml.cpp azure/credentials/authorization.cpp azure/credentials/managed_identity.cpp cloud/xml_reader.cpp
    LINK keepstore::azure pugixml::pugixml nlohmann_json::nlohmann_json)
keepstore_fuzz(config
    COVER
        cluster_config/config.cpp
        cluster_config/document.cpp
        cluster_config/environment.cpp
        cluster_config/keys.cpp
        cluster_config/loader.cpp
        cluster_config/reader.cpp
        cluster_config/rules.cpp
        cluster_config/scalars.cpp
        cluster_config/schema.cpp
        cluster_config/url.cpp
        cluster_config/value.cpp
        cluster_config/yaml_scalar.cpp
    LINK keepstore::volume_factory
    SEEDS ${PROJECT_SOURCE_DIR}/conf)
keepstore_fuzz(waypoints COVER digest/waypoints.cpp LINK keepstore::digest OpenSSL::Crypto)
keepstore_fuzz(keepctl
    COVER keepctl/cluster/block_names.cpp keepctl/cluster/checkpoint.cpp keepctl/cluster/place.cpp
        keepctl/cluster/scrub_report.cpp keepctl/cluster/server_json.cpp keepctl/cluster/server_status.cpp
    LINK keepstore::keepctl_cluster nlohmann_json::nlohmann_json)
keepstore_fuzz(balance
    COVER keepctl/balance/last_run.cpp keepctl/balance/references.cpp keepctl/balance/rules.cpp
        keepctl/cluster/server_work.cpp
    LINK keepstore::keepctl_balance nlohmann_json::nlohmann_json)
keepstore_fuzz(clone_job
    COVER keepctl/clone/job_files.cpp
    LINK keepstore::keepctl_clone nlohmann_json::nlohmann_json)
keepstore_fuzz(snapshot
    COVER keepctl/snapshot/documents.cpp keepctl/snapshot/inventory.cpp keepctl/snapshot/repository_place.cpp
    LINK keepstore::keepctl_snapshot nlohmann_json::nlohmann_json)
