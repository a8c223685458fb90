keepstore_test(protocol_tests
    SOURCES
        protocol/index_lines_test.cpp
        protocol/locator_test.cpp
        protocol/rendezvous_test.cpp
        protocol/signature_test.cpp
        protocol/work_lists_test.cpp
    LINK keepstore::protocol)
