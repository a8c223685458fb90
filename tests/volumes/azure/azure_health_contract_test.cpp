// The contract of volumes in trouble, for the Azure driver on a service that a relay cuts off.
#include "tests/volumes/azure/stub_container.hpp"
#include "tests/volumes/s3/tcp_relay.hpp"

#include <tuple>

namespace keepstore::test {

class azure_relayed_maker {
  public:
    volumes::volume& get() { return *volume_; }
    [[nodiscard]] static bool usable() { return true; }
    void hang(bool on) { relay_.hang(on); }
    void take_away(bool on) { relay_.refuse(on); }

  private:
    static volumes::azure_options options(const tcp_relay& relay) {
        auto out = azure_stub_options(relay.url());
        out.any_content = true;
        return out;
    }

    azure_memory_service service_;
    tcp_relay relay_{service_.service().port()};
    std::unique_ptr<volumes::volume> volume_ = open_azure(options(relay_));
};

using azure_health_makers = std::tuple<azure_relayed_maker>;

}  // namespace keepstore::test

#define KEEPSTORE_HEALTH_MAKERS keepstore::test::azure_health_makers
#include "tests/contract/health_contract.hpp"
