// The contract of volumes in trouble, for the S3 driver on a service that a relay cuts off.
#include "tests/s3/memory_service.hpp"
#include "tests/volumes/s3/tcp_relay.hpp"
#include "tests/volumes/stub_volume.hpp"

#include <tuple>

namespace keepstore::test {

class relayed_maker {
  public:
    volumes::volume& get() { return *volume_; }
    [[nodiscard]] static bool usable() { return true; }
    void hang(bool on) { relay_.hang(on); }
    void take_away(bool on) { relay_.refuse(on); }

  private:
    static volumes::s3_options options(const tcp_relay& relay) {
        auto out = stub_options(relay.url(), 2);
        out.any_content = true;
        return out;
    }

    memory_service service_{
        memory_service::vice::takes_wrong_digest};  // The contents of the tests are not named by their MD5.
    tcp_relay relay_{service_.service().port()};
    std::unique_ptr<volumes::volume> volume_ = open_volume(options(relay_));
};

using s3_health_makers = std::tuple<relayed_maker>;

}  // namespace keepstore::test

#define KEEPSTORE_HEALTH_MAKERS keepstore::test::s3_health_makers
#include "tests/contract/health_contract.hpp"
