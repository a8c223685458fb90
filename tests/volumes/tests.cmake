keepstore_test(volumes_contract_test
    SOURCES volumes/directory_contract_test.cpp
    LINK keepstore::volumes
    LABEL contract
    TIMEOUT 120)
keepstore_test(volumes_test
    SOURCES
        volumes/device_id_test.cpp
        volumes/directory_race_test.cpp
        volumes/directory_volume_test.cpp
        volumes/directory_writer_test.cpp
        volumes/names_test.cpp
        volumes/open_files_test.cpp
        volumes/single_use_test.cpp
    LINK keepstore::volumes
    TIMEOUT 120)
