keepstore_test(volumes_contract_test
    SOURCES
        volumes/directory/directory_contract_test.cpp
        volumes/directory/directory_health_contract_test.cpp
    LINK keepstore::volumes keepstore::digest
    LABEL contract
    TIMEOUT 120)
keepstore_test(volumes_test
    SOURCES
        volumes/directory/device_id_test.cpp
        volumes/directory/directory_health_test.cpp
        volumes/directory/directory_race_test.cpp
        volumes/directory/directory_trash_test.cpp
        volumes/directory/directory_volume_test.cpp
        volumes/directory/directory_writer_test.cpp
        volumes/directory/names_test.cpp
        volumes/directory/open_files_test.cpp
        volumes/directory/root_handle_test.cpp
        volumes/directory/uncached_file_test.cpp
        volumes/directory/whole_file_test.cpp
        volumes/directory/write_queue_test.cpp
        volumes/health_test.cpp
        volumes/trash_rule_test.cpp
    LINK keepstore::volumes keepstore::digest
    TIMEOUT 120)
keepstore_test(volumes_faults_test
    SOURCES
        volumes/directory/directory_faults_test.cpp
        volumes/directory/directory_stall_test.cpp
        volumes/directory/directory_sync_test.cpp
        volumes/directory/directory_touch_test.cpp
        volumes/directory/file_calls.cpp
    LINK keepstore::volumes keepstore::digest ${CMAKE_DL_LIBS}
    TIMEOUT 120)
keepstore_test(volumes_s3_contract_test
    SOURCES volumes/s3/s3_contract_test.cpp
    LINK keepstore::volumes keepstore::digest nlohmann_json::nlohmann_json
    LABEL contract
    TIMEOUT 180
    S3)
keepstore_test(volumes_s3_test
    SOURCES
        volumes/s3/s3_attribute_test.cpp
        volumes/s3/s3_outage_test.cpp
        volumes/s3/s3_reader_test.cpp
        volumes/s3/s3_states_test.cpp
        volumes/s3/s3_volume_test.cpp
    LINK keepstore::volumes keepstore::digest nlohmann_json::nlohmann_json
    TIMEOUT 180
    S3)
keepstore_test(volumes_s3_stub_test
    SOURCES
        volumes/cloud/chunk_memory_test.cpp
        volumes/cloud/circuit_breaker_test.cpp
        volumes/cloud/download_turns_test.cpp
        volumes/cloud/download_window_test.cpp
        volumes/cloud/multipart_policy_test.cpp
        volumes/s3/s3_access_test.cpp
        volumes/s3/s3_health_contract_test.cpp
        volumes/s3/s3_newcomers_test.cpp
        volumes/s3/s3_shared_download_test.cpp
        volumes/s3/s3_parts_test.cpp
        volumes/s3/s3_ranges_test.cpp
        volumes/s3/s3_stub_outage_test.cpp
        volumes/s3/s3_stub_test.cpp
        volumes/s3/s3_crowd_test.cpp
        volumes/s3/s3_turns_test.cpp
    LINK keepstore::volumes keepstore::digest OpenSSL::SSL OpenSSL::Crypto)
keepstore_test(volumes_azure_contract_test
    SOURCES
        volumes/azure/azure_contract_test.cpp
        volumes/azure/azure_health_contract_test.cpp
    LINK keepstore::volumes keepstore::digest OpenSSL::SSL OpenSSL::Crypto
    LABEL contract
    TIMEOUT 180)
keepstore_test(volumes_azurite_contract_test
    SOURCES volumes/azure/azurite_contract_test.cpp
    LINK keepstore::volumes keepstore::digest OpenSSL::SSL OpenSSL::Crypto nlohmann_json::nlohmann_json
    LABEL contract
    TIMEOUT 180
    AZURE)
keepstore_test(volumes_azure_test
    SOURCES
        volumes/azure/access_test.cpp
        volumes/azure/azure_faults_test.cpp
        volumes/azure/azure_race_test.cpp
        volumes/azure/azure_states_test.cpp
        volumes/azure/block_list_test.cpp
    LINK keepstore::volumes keepstore::digest OpenSSL::SSL OpenSSL::Crypto
    TIMEOUT 300
    COST 40)
keepstore_test(volume_factory_test
    SOURCES volumes/factory_test.cpp
    LINK keepstore::volume_factory)
target_compile_definitions(volume_factory_test PRIVATE KEEPSTORE_CONF_DIR="${PROJECT_SOURCE_DIR}/conf")
