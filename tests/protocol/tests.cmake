keepstore_test(protocol_tests
    SOURCES
        protocol/rendezvous_test.cpp
        protocol/values_test.cpp
    LINK keepstore::protocol)
