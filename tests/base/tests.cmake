keepstore_test(base_tests SOURCES base/base_test.cpp LINK keepstore::base)
