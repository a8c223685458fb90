keepstore_test(keepctl_tests
    SOURCES
        keepctl/block_names_test.cpp
        keepctl/checkpoint_test.cpp
        keepctl/entry_test.cpp
        keepctl/exit_code_test.cpp
        keepctl/merge_test.cpp
        keepctl/place_test.cpp
        keepctl/postponed_blocks_test.cpp
        keepctl/replicate_progress_test.cpp
        keepctl/server_health_test.cpp
        keepctl/server_status_test.cpp
        keepctl/server_traits_test.cpp
        keepctl/shards_test.cpp
        keepctl/stream_tee_test.cpp
    LINK keepstore::keepctl_commands)
keepstore_test(keepctl_balance_tests
    SOURCES
        keepctl/balance_decide_test.cpp
        keepctl/balance_lists_test.cpp
        keepctl/balance_model_test.cpp
        keepctl/balance_pipeline_test.cpp
        keepctl/balance_planner_test.cpp
        keepctl/balance_references_test.cpp
        keepctl/balance_rules_test.cpp
        keepctl/balance_survey_test.cpp
        keepctl/balance_weights_test.cpp
    LINK keepstore::keepctl_balance)
keepstore_test(keepctl_clone_tests
    SOURCES
        keepctl/clone_adaptive_limit_test.cpp
        keepctl/clone_azure_test.cpp
        keepctl/clone_board_test.cpp
        keepctl/clone_each_segment_test.cpp
        keepctl/clone_job_files_test.cpp
        keepctl/clone_local_store_test.cpp
        keepctl/clone_merge_test.cpp
    LINK keepstore::keepctl_clone OpenSSL::SSL OpenSSL::Crypto)

keepstore_test(keepctl_snapshot_tests
    SOURCES
        keepctl/snapshot/create_test.cpp
        keepctl/snapshot/documents_test.cpp
        keepctl/snapshot/inventory_test.cpp
        keepctl/snapshot/prune_test.cpp
        keepctl/snapshot/repository_test.cpp
        keepctl/snapshot/restore_test.cpp
        keepctl/snapshot/retention_test.cpp
    LINK keepstore::keepctl_snapshot)

keepstore_test(keepctl_command_tests
    SOURCES
        keepctl/copy_report_test.cpp
        keepctl/output_test.cpp
    LINK keepstore::keepctl_commands nlohmann_json::nlohmann_json)
