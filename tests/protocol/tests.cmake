keepstore_test(protocol_tests SOURCES protocol/values_test.cpp LINK keepstore::protocol)
