/// The snapshot of docs/snapshots.md: blocks `bar` on mount 0, `foo` on mounts 0 and 1.
#pragma once

#include "keepctl/snapshot/documents.hpp"
#include "keepctl/snapshot/inventory.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl::test {

inline const snapshot_id golden_id = *snapshot_id::parse("20261121T031500Z-7f3a9c2e51d04b68");

inline std::vector<entry> golden_entries() {
    const auto bar = *md5_digest::parse("37b51d194a7513e45b56f6524f2d51f2");
    const auto foo = *md5_digest::parse("acbd18db4cc2f85cedef654fccc4a4d8");
    return {{.block = bar, .size = 3, .mount = 0, .mtime = 1'795'226'921'000'000'000},
            {.block = foo, .size = 3, .mount = 0, .mtime = 1'795'226'920'123'456'789},
            {.block = foo, .size = 3, .mount = 1, .mtime = 1'795'226'922'000'000'000}};
}

inline constexpr std::array<unsigned char, 196> golden_inventory{
    0x4b, 0x45, 0x45, 0x50, 0x49, 0x4e, 0x56, 0x31, 0x40, 0x00, 0x20, 0x00, 0x00, 0x08, 0x00, 0x00,  //
    0x7f, 0x3a, 0x9c, 0x2e, 0x51, 0xd0, 0x4b, 0x68, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf1, 0x99, 0x92, 0x62,  //
    0x37, 0xb5, 0x1d, 0x19, 0x4a, 0x75, 0x13, 0xe4, 0x5b, 0x56, 0xf6, 0x52, 0x4f, 0x2d, 0x51, 0xf2,  //
    0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5a, 0x6c, 0x85, 0x5f, 0xed, 0xe9, 0x18,  //
    0xac, 0xbd, 0x18, 0xdb, 0x4c, 0xc2, 0xf8, 0x5c, 0xed, 0xef, 0x65, 0x4f, 0xcc, 0xc4, 0xa4, 0xd8,  //
    0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x15, 0x5d, 0x2d, 0x51, 0x5f, 0xed, 0xe9, 0x18,  //
    0xac, 0xbd, 0x18, 0xdb, 0x4c, 0xc2, 0xf8, 0x5c, 0xed, 0xef, 0x65, 0x4f, 0xcc, 0xc4, 0xa4, 0xd8,  //
    0x03, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x24, 0x07, 0xc1, 0x5f, 0xed, 0xe9, 0x18,  //
    0xb6, 0x5c, 0x58, 0x7f, 0x4b, 0x45, 0x45, 0x50, 0x45, 0x4e, 0x44, 0x31, 0x03, 0x00, 0x00, 0x00,  //
    0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0xa4, 0xce, 0xc6, 0x83, 0x00, 0x00, 0x00, 0x00,  //
    0x7b, 0x72, 0x1d, 0x63};

inline constexpr std::string_view golden_repository =
    R"({"format":"keepctl-repository-1","repository":"5b1d0e8c-9a43-4f0e-8a51-6d2f7c9e1b30","cluster":"zzzzz",)"
    R"("created_at":"2026-11-20T18:00:00Z"})"
    "\n";

inline constexpr std::string_view golden_snapshot =
    R"({"format":"keepctl-snapshot-1","id":"20261121T031500Z-7f3a9c2e51d04b68",)"
    R"("repository":"5b1d0e8c-9a43-4f0e-8a51-6d2f7c9e1b30","cluster":"zzzzz","scope":"cluster",)"
    R"("started_at":"2026-11-21T03:15:00Z","completed_at":"2026-11-21T03:15:04Z","digits":0,"mounts":[)"
    R"({"uuid":"zzzzz-nyw5e-000000000000000","device_id":"0b0a668c-disk0/keep","server":"http://keep0.example:25107",)"
    R"("replication":1,"classes":["default"]},)"
    R"({"uuid":"zzzzz-nyw5e-000000000000001","device_id":"s3://https://s3.example/keep",)"
    R"("server":"http://keep1.example:25107","replication":1,"classes":["default"]}],)"
    R"("objects":[{"name":"index.kinv","bytes":196,)"
    R"("sha256":"aac5112a63764fa6356188d6918f4df1d60363e572a107d32b6153787ef7ff6c","records":3}],)"
    R"("blocks":2,"replicas":3,"bytes":6,"stored_bytes":9,"tool":"keepctl 0.1.0"})"
    "\n";

inline constexpr std::string_view golden_latest =
    R"({"format":"keepctl-latest-1","repository":"5b1d0e8c-9a43-4f0e-8a51-6d2f7c9e1b30","sequence":7,)"
    R"("writer":"c41f0a9be2d87305","written_at":"2026-11-21T03:15:05Z","snapshots":[)"
    R"({"id":"20261121T031500Z-7f3a9c2e51d04b68","sequence":7,"listed_at":"2026-11-21T03:15:05Z",)"
    R"("metadata_sha256":"4f3b78480dd4308a9afa1503845f60ae5fc3e4a2b08206ef14e920ba0f59ec5f",)"
    R"("blocks":2,"replicas":3,"bytes":6}],)"
    R"("removed":[{"id":"20261114T031500Z-02b1f6a7c8d9e0f1","removed_at":"2026-11-21T03:15:05Z"}]})"
    "\n";

}  // namespace keepstore::keepctl::test
