#include "volumes/cloud/cloud_writer.hpp"

#include "volumes/cloud/attribute.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/multipart_policy.hpp"
#include "volumes/cloud/part_upload.hpp"
#include "volumes/cloud/stall_guard.hpp"
#include "volumes/cloud/upload.hpp"

#include <utility>

namespace keepstore::volumes::cloud {
namespace {

using attribute_type = std::optional<std::pair<std::string, std::vector<std::byte>>>;

// Attributes only speed up reads: one that is too large is left out.
protocol::name_values to_metadata(const attribute_type& attribute, char separator) {
    protocol::name_values out;
    if (!attribute) return out;
    if (auto text = encode_attribute(attribute->second)) {
        out.emplace_back(metadata_name(attribute->first, separator), std::move(*text));
    }
    return out;
}

template <class Upload>
class upload_writer final : public block_writer {
  public:
    upload_writer(std::shared_ptr<volume_core> core, std::shared_ptr<Upload> u)
        : core_(std::move(core)), upload_(std::move(u)) {}
    ~upload_writer() override { upload_->drop(); }

    awaitable<result<void>> append(const_slice bytes, deadline until) override {
        return unless_stalled(core_->breaker, until, upload_->append(std::move(bytes), until));
    }
    void set_queue_bytes(std::size_t bytes) noexcept override { upload_->set_queue_bytes(bytes); }
    awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline) override {
        co_return upload_->read_back(offset, into.bytes);
    }
    awaitable<result<void>> commit(attribute_type attribute, deadline until) override {
        auto metadata = to_metadata(attribute, core_->setup.name_separator);
        return unless_stalled(core_->breaker, until, upload_->commit(std::move(metadata), until));
    }

  private:
    const std::shared_ptr<volume_core> core_;
    const std::shared_ptr<Upload> upload_;
};

template <class Upload>
std::unique_ptr<block_writer> make_writer(const std::shared_ptr<volume_core>& core, std::shared_ptr<Upload> u) {
    return std::make_unique<upload_writer<Upload>>(core, std::move(u));
}

/// A large block, whole or in parts, timed for the multipart policy.
class timed_writer final : public block_writer {
  public:
    timed_writer(std::shared_ptr<volume_core> core, md5_digest name, std::uint64_t size)
        : core_(std::move(core)), size_(size), transfer_(core_->upload_policy.begin(clock::now())) {
        if (transfer_.mode() == transfer_mode::parts || core_->setup.always_parts) {
            if (auto parts = part_upload::make_parallel(core_, name, size)) {
                writer_ = make_writer(core_, std::move(parts));
                return;
            }
            transfer_.go_whole();
        }
        writer_ = make_writer(core_, std::make_shared<upload>(core_, name, size));
    }

    awaitable<result<void>> append(const_slice bytes, deadline until) override {
        const auto began = clock::now();
        if (!first_) first_ = began;
        auto appended = co_await writer_->append(std::move(bytes), until);
        waited_ += clock::now() - began;
        if (!appended) transfer_.note(appended.error(), clock::now());
        co_return appended;
    }
    void set_queue_bytes(std::size_t bytes) noexcept override { writer_->set_queue_bytes(bytes); }
    awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline until) override {
        return writer_->read_back(offset, std::move(into), until);
    }
    awaitable<result<void>> commit(attribute_type attribute, deadline until) override {
        const auto began = clock::now();
        auto done = co_await writer_->commit(std::move(attribute), until);
        if (!done) {
            transfer_.note(done.error(), clock::now());
        } else {
            const auto now = clock::now();
            waited_ += now - began;
            transfer_.moved({.bytes = size_, .elapsed = now - first_.value_or(began), .waited = waited_}, now);
        }
        co_return done;
    }

  private:
    using clock = multipart_policy::clock;

    const std::shared_ptr<volume_core> core_;
    const std::uint64_t size_;
    multipart_policy::transfer transfer_;
    std::unique_ptr<block_writer> writer_;
    std::optional<clock::time_point> first_;
    clock::duration waited_{0};
};

}  // namespace

result<std::unique_ptr<block_writer>> make_cloud_writer(std::shared_ptr<volume_core> core, md5_digest name,
                                                        std::optional<std::uint64_t> size) {
    KS_CHECK(core->breaker->allow());
    if (size && *size >= limits::cloud_parallel_block_bytes_min) {
        return std::make_unique<timed_writer>(std::move(core), name, *size);
    }
    if (size) return make_writer(core, std::make_shared<upload>(core, name, *size));
    KS_TRY(auto unsized, part_upload::make_unsized(core, name));
    return make_writer(core, std::move(unsized));
}

}  // namespace keepstore::volumes::cloud
