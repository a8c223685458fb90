// The contract of all volumes, for the Azure driver on a service in memory.
#include "tests/volumes/azure/stub_container.hpp"

#include <tuple>

namespace keepstore::test {

class azure_stub_maker {
  public:
    static constexpr bool mtime_in_nanoseconds = false;
    static constexpr bool keeps_attributes = false;  // Only those given with a commit.
    static constexpr bool keeps_trash_apart = false;
    static constexpr std::size_t large_block_bytes = 6 * MiB;

    volumes::volume& get() { return *container_.volume; }
    void set_mtime(const md5_digest& name, volumes::block_time t) { container_.set_mtime(name, t); }

  private:
    stub_container container_{[](volumes::azure_options& o) {
        o.any_content = true;
        o.list_keys_max = 3;
    }};
};

using azure_makers = std::tuple<azure_stub_maker>;

}  // namespace keepstore::test

#define KEEPSTORE_VOLUME_MAKERS keepstore::test::azure_makers
#include "tests/contract/volume_contract.hpp"
