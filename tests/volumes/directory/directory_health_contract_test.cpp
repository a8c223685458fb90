// The contract of volumes in trouble, for the Directory driver.
#include "tests/volumes/directory/directory_fixture.hpp"
#include "tests/volumes/directory/frozen_mount.hpp"

#include <tuple>

namespace keepstore::test {

class frozen_directory_maker {
  public:
    frozen_directory_maker() : fixture_({.free_bytes_min = 0}, disk_.point()) {}

    volumes::volume& get() { return *fixture_.volume; }
    [[nodiscard]] bool usable() const { return disk_.mounted(); }
    void hang(bool on) {
        if (on && !disk_.freeze()) throw std::runtime_error("cannot freeze");
        if (!on) disk_.thaw();
    }
    void take_away(bool on) const {
        const auto& root = fixture_.dir.path();
        const auto aside = disk_.point() / "aside";
        std::filesystem::rename(on ? root : aside, on ? aside : root);
    }

  private:
    frozen_mount disk_;
    directory_fixture fixture_;
};

using directory_health_makers = std::tuple<frozen_directory_maker>;

}  // namespace keepstore::test

#define KEEPSTORE_HEALTH_MAKERS keepstore::test::directory_health_makers
#include "tests/contract/health_contract.hpp"
