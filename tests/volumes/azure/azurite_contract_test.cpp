// The contract of all volumes, for the Azure driver on a real Blob service.
#include "tests/support/azure_server.hpp"
#include "tests/volumes/azure/stub_container.hpp"

#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>

namespace keepstore::test {

/// A volume on a container of its own, with times of blobs that tests can set: the service has no way to store a blob
/// with an old time.
class azurite_maker {
  public:
    static constexpr bool mtime_in_nanoseconds = false;
    static constexpr bool keeps_attributes = false;  // Only those given with a commit.
    static constexpr bool keeps_trash_apart = false;
    static constexpr std::size_t large_block_bytes = 6 * MiB;

    volumes::volume& get() { return *volume_; }
    /// As long as the blob is not changed again.
    void set_mtime(const md5_digest& name, volumes::block_time t) {
        const auto real = run(volume_->mtime(name, soon())).value();
        {
            const std::lock_guard lock(mutex_);
            times_[name.hex()] = {std::chrono::floor<std::chrono::seconds>(real),
                                  std::chrono::floor<std::chrono::seconds>(t)};
        }
        // The service's times would not tell a change that is made now from the one before.
        const auto next = std::chrono::ceil<std::chrono::seconds>(std::chrono::system_clock::now());
        std::this_thread::sleep_until(next + std::chrono::milliseconds(20));
    }

  private:
    using times_type = std::map<std::string, std::pair<cloud::sys_seconds, cloud::sys_seconds>>;

    static azure_server find_server() {
        auto found = azure_server::find();
        if (!found) throw std::runtime_error("no Blob service");
        return std::move(*found);
    }
    std::unique_ptr<volumes::volume> open() {
        auto o = azure_stub_options(server_.endpoint);
        o.account = server_.account;
        o.container = container_.name();
        o.account_key = cloud::secret_string(server_.key);
        o.any_content = true;
        o.list_keys_max = 3;
        o.write_race_interval = std::chrono::seconds(0);
        o.observed_time = [this](const std::string& key, cloud::sys_seconds real) {
            const std::lock_guard lock(mutex_);
            const auto found = times_.find(key);
            return found != times_.end() && found->second.first == real ? found->second.second : real;
        };
        return open_azure(std::move(o));
    }

    std::mutex mutex_;
    times_type times_;  // Guarded by mutex_.
    const azure_server server_ = find_server();
    const azure_container container_{server_};
    std::unique_ptr<volumes::volume> volume_ = open();
};

using azurite_makers = std::tuple<azurite_maker>;

}  // namespace keepstore::test

#define KEEPSTORE_VOLUME_MAKERS keepstore::test::azurite_makers
#include "tests/contract/volume_contract.hpp"
