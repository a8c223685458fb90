/// An S3 volume on a bucket of its own of the real server, with direct access to its objects, and times that tests can
/// set: S3 has no way to store an object with an old time.
#pragma once

#include "digest/md5.hpp"
#include "s3/client.hpp"
#include "s3/credentials/credential_sources.hpp"
#include "tests/contract/volume_harness.hpp"
#include "tests/support/s3_server.hpp"
#include "volumes/s3/names.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace keepstore::test {

/// What the volume is told about the times of objects. Safe to use from any thread.
class object_times {
  public:
    /// The object with this key, as long as it is not written again, shall have this time.
    void set(const std::string& key, s3::sys_seconds real, s3::sys_seconds pretended) {
        const std::lock_guard lock(mutex_);
        times_[key] = {real, pretended};
    }
    [[nodiscard]] s3::sys_seconds observe(const std::string& key, s3::sys_seconds real) const {
        const std::lock_guard lock(mutex_);
        const auto found = times_.find(key);
        return found != times_.end() && found->second.first == real ? found->second.second : real;
    }

  private:
    mutable std::mutex mutex_;
    std::map<std::string, std::pair<s3::sys_seconds, s3::sys_seconds>> times_;
};

class s3_fixture {
  public:
    /// \throws std::runtime_error if there is no server; then "skipped: " and why has been said.
    explicit s3_fixture(const std::function<void(volumes::s3_options&)>& change = {})
        : server_(find_server()), bucket_(server_), objects_(make_client()) {
        options.endpoint = server_.endpoint;
        options.region = server_.region;
        options.bucket = bucket_.name();
        options.access_key_id = server_.access_key;
        options.secret_access_key = s3::secret_string(server_.secret_key);
        options.use_path_style = true;
        options.loops = 2;
        options.observed_time = [this](const std::string& key, s3::sys_seconds t) { return times.observe(key, t); };
        options.now = [this] { return now() + clock_shift.load(); };
        if (change) change(options);
        volume = open();
    }

    [[nodiscard]] std::unique_ptr<volumes::volume> open() const {
        auto opened = volumes::open_s3_volume(options);
        if (!opened) throw std::runtime_error(opened.error().text);
        return std::move(*opened);
    }

    // The bucket without the volume.

    void put_object(const std::string& key, const bytes& content) {
        s3::upload_body body;
        if (!content.empty()) body.slices.push_back(copy_to_heap_slice(content));
        if (auto r = run(objects_.put(key, std::move(body), {}, soon())); !r) throw std::runtime_error(r.error().text);
    }
    [[nodiscard]] std::optional<s3::object_info> head_object(const std::string& key) {
        auto r = run(objects_.head(key, soon()));
        if (!r && r.error() == errc::not_found) return std::nullopt;
        if (!r) throw std::runtime_error(r.error().text);
        return std::move(*r);
    }
    [[nodiscard]] s3::client& objects() { return objects_; }
    [[nodiscard]] std::uint16_t port() const { return server_.port; }

    /// From now on the object is as old as that, until it is written again. Call settle() after the last one.
    void age_object(const std::string& key, std::chrono::nanoseconds age) {
        const auto info = head_object(key);
        if (!info) throw std::runtime_error("no such object: " + key);
        times.set(key, info->last_modified, std::chrono::floor<std::chrono::seconds>(now() - age));
    }
    /// Waits for the next second, since S3's times would not tell an object that is written now from the one before.
    static void settle() {
        const auto next = std::chrono::ceil<std::chrono::seconds>(std::chrono::system_clock::now());
        std::this_thread::sleep_until(next + std::chrono::milliseconds(20));
    }

    [[nodiscard]] std::uint64_t requests(const std::string& operation) const {
        const auto stats = volume->stats();
        const auto found = stats.operations.find(operation);
        return found == stats.operations.end() ? 0 : found->second;
    }

    object_times times;
    std::atomic<std::chrono::nanoseconds> clock_shift{std::chrono::nanoseconds(0)};
    volumes::s3_options options;

  private:
    static s3_server find_server() {
        auto found = s3_server::find();
        if (!found) throw std::runtime_error("no S3 server");
        return std::move(*found);
    }
    [[nodiscard]] s3::client make_client() const {
        s3::credentials_config keys;
        keys.access_key_id = server_.access_key;
        keys.secret_access_key = s3::secret_string(server_.secret_key);
        s3::client_options how;
        how.endpoint = server_.endpoint;
        how.region = server_.region;
        how.bucket = bucket_.name();
        how.path_style = true;
        auto made = s3::client::make(std::move(how), *s3::make_credentials(std::move(keys)));
        if (!made) throw std::runtime_error(made.error().text);
        return std::move(*made);
    }

    const s3_server server_;
    const s3_bucket bucket_;
    s3::client objects_;

  public:
    std::unique_ptr<volumes::volume> volume;  // First to go.
};

inline md5_digest md5_name(const bytes& content) {
    return digest::md5_of(content);
}

}  // namespace keepstore::test
