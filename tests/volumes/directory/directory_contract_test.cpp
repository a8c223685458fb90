// The contract of all volumes, for the Directory driver in its variants.
#include "tests/volumes/directory/directory_fixture.hpp"

#include <tuple>

namespace keepstore::test {

enum class place { disk, memory };

template <place Where, bool Serialize, bool Sync, volumes::direct_io Direct>
class directory_maker {
  public:
    static constexpr bool mtime_in_nanoseconds = true;
    static constexpr bool keeps_attributes = Where == place::disk;  // tmpfs may have none for users.
    static constexpr bool keeps_trash_apart = true;
    static constexpr std::size_t large_block_bytes = 5 * MiB;

    volumes::volume& get() { return *fixture_.volume; }
    void set_mtime(const md5_digest& name, volumes::block_time t) { fixture_.set_mtime(name, t); }

  private:
    directory_fixture fixture_{{.serialize = Serialize, .sync = Sync, .direct = Direct, .free_bytes_min = 0},
                               Where == place::disk ? on_disk() : in_memory()};
};

using volumes::direct_io;
using directory_makers = std::tuple<directory_maker<place::disk, false, true, direct_io::automatic>,
                                    directory_maker<place::disk, false, false, direct_io::off>,
                                    directory_maker<place::disk, true, true, direct_io::on>,
                                    directory_maker<place::memory, false, true, direct_io::automatic>,
                                    directory_maker<place::memory, true, false, direct_io::on>>;

}  // namespace keepstore::test

#define KEEPSTORE_VOLUME_MAKERS keepstore::test::directory_makers
#include "tests/contract/volume_contract.hpp"
