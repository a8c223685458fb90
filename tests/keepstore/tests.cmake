keepstore_test(core_tests SOURCES keepstore/values_test.cpp LINK keepstore::core)
