/// A service that sends an object as far as the test says, and the inside of a volume on it, which tells how much
/// memory its downloads hold.
#pragma once

#include "tests/contract/volume_harness.hpp"
#include "tests/net/client/script_server.hpp"
#include "tests/volumes/stub_volume.hpp"
#include "volumes/cloud/cloud_reader.hpp"
#include "volumes/cloud/shared_download.hpp"
#include "volumes/s3/access.hpp"
#include "volumes/s3/s3_core.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace keepstore::test {

/// Answers each GET with the same content, of which it sends no more than it is told.
class paced_service {
  public:
    explicit paced_service(const bytes& content)
        : content_(reinterpret_cast<const char*>(content.data()), content.size()),
          server_([this](peer& p, int) { serve(p); }) {}
    ~paced_service() {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        changed_.notify_all();
        server_.stop();
    }
    paced_service(const paced_service&) = delete;
    paced_service& operator=(const paced_service&) = delete;

    void send_upto(std::size_t position) {
        {
            const std::lock_guard lock(mutex_);
            upto_ = position;
        }
        changed_.notify_all();
    }
    [[nodiscard]] int requests() const { return requests_; }
    [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }

  private:
    void serve(peer& p) {
        while (!p.head().empty()) {
            ++requests_;
            p.send(
                "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nLast-Modified: Mon, 12 Oct 2009 17:50:03 GMT\r\nContent-Length: " +
                std::to_string(content_.size()) + "\r\n\r\n");
            std::size_t sent = 0;
            while (sent < content_.size()) {
                std::size_t now = 0;
                {
                    std::unique_lock lock(mutex_);
                    changed_.wait(lock, [&] { return over_ || upto_ > sent; });
                    if (over_) return;
                    now = upto_;
                }
                if (!p.send(std::string_view(content_).substr(sent, now - sent))) return;
                sent = now;
            }
        }
    }

    const std::string content_;
    std::atomic<int> requests_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t upto_ = 0;  ///< Guarded by mutex_.
    bool over_ = false;     ///< Guarded by mutex_.
    script_server server_;
};

/// The inside of a volume, without the probes of one.
class bare_core {
  public:
    bare_core(const paced_service& service, std::size_t memory_bytes) {
        auto o = stub_options(service.url(), 1);
        o.fetch_memory_bytes = memory_bytes;
        auto access = volumes::s3::make_access(o);
        if (!access) throw std::runtime_error(access.error().text);
        auto client = s3::client::make(std::move(access->client), std::move(access->keys));
        if (!client) throw std::runtime_error(client.error().text);
        core_ = std::make_shared<volumes::s3::s3_core>(std::move(o), std::move(*client));
    }
    ~bare_core() { core_->loops.stop(); }
    bare_core(const bare_core&) = delete;
    bare_core& operator=(const bare_core&) = delete;

    [[nodiscard]] std::shared_ptr<volumes::cloud::shared_download> make_download() const {
        return std::make_shared<volumes::cloud::shared_download>(
            core_, volumes::cloud::download_target{.name = random_name()});
    }
    [[nodiscard]] result<std::unique_ptr<volumes::block_reader>> open(const md5_digest& name) const {
        return run(volumes::cloud::open_cloud_reader(core_, name, {}, soon()));
    }
    /// The download that further readers join.
    [[nodiscard]] std::shared_ptr<volumes::cloud::shared_download> find(const md5_digest& name) const {
        return core_->downloads.find(name);
    }
    [[nodiscard]] std::size_t held_bytes() const { return core_->memory->held_bytes(); }
    [[nodiscard]] std::optional<mutable_slice> take(std::size_t size) const { return core_->memory->try_take(size); }

  private:
    std::shared_ptr<volumes::s3::s3_core> core_;
};

/// Waits for it, up to half a minute.
inline bool until(const std::function<bool()>& holds) {
    const auto limit = deadline::in(std::chrono::seconds(30));
    while (!holds()) {
        if (limit.passed()) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace keepstore::test
