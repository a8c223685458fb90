keepstore_test(pool_tests SOURCES pool/buffer_pool_test.cpp pool/lease_pool_test.cpp LINK keepstore::pool)
