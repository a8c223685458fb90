keepstore_test(azure_test
    SOURCES
        azure/authorization_test.cpp
        azure/blob_address_test.cpp
        azure/client_faults_test.cpp
        azure/client_test.cpp
        azure/error_test.cpp
        azure/managed_identity_test.cpp
        azure/probe_test.cpp
        azure/shared_key_test.cpp
        azure/xml_test.cpp
    LINK keepstore::azure OpenSSL::SSL OpenSSL::Crypto)
keepstore_test(azure_real_test
    SOURCES azure/azurite_test.cpp
    LINK keepstore::azure OpenSSL::SSL OpenSSL::Crypto nlohmann_json::nlohmann_json
    LABEL integration
    TIMEOUT 120
    AZURE)
