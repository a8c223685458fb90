#include "volumes/s3/s3_writer.hpp"

#include "base/limits.hpp"
#include "volumes/s3/attribute.hpp"
#include "volumes/s3/unsized_upload.hpp"
#include "volumes/s3/upload.hpp"

#include <utility>

namespace keepstore::volumes::s3 {
namespace {

using attribute_type = std::optional<std::pair<std::string, std::vector<std::byte>>>;

// It is a help for reading, no part of the block: one that is too large is left out.
protocol::name_values to_metadata(const attribute_type& attribute) {
    protocol::name_values out;
    if (!attribute) return out;
    if (auto text = encode_attribute(attribute->second)) {
        out.emplace_back(metadata_name(attribute->first), std::move(*text));
    }
    return out;
}

class sized_writer final : public block_writer {
  public:
    sized_writer(std::shared_ptr<s3_core> core, md5_digest name, std::uint64_t size)
        : upload_(std::make_shared<upload>(std::move(core), name, size)) {}
    ~sized_writer() override { upload_->drop(); }

    awaitable<result<void>> append(const_slice bytes, deadline until) override {
        return upload_->append(std::move(bytes), until);
    }
    void set_queue_bytes(std::size_t bytes) noexcept override { upload_->set_queue_bytes(bytes); }
    awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline) override {
        co_return upload_->read_back(offset, into.bytes);
    }
    awaitable<result<void>> commit(attribute_type attribute, deadline until) override {
        return upload_->commit(to_metadata(attribute), until);
    }

  private:
    const std::shared_ptr<upload> upload_;
};

class unsized_writer final : public block_writer {
  public:
    explicit unsized_writer(std::unique_ptr<unsized_upload> u) : upload_(std::move(u)) {}

    awaitable<result<void>> append(const_slice bytes, deadline until) override {
        return upload_->append(std::move(bytes), until);
    }
    // What is appended is copied: nothing waits.
    void set_queue_bytes(std::size_t) noexcept override {}
    awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline) override {
        co_return upload_->read_back(offset, into.bytes);
    }
    awaitable<result<void>> commit(attribute_type attribute, deadline until) override {
        return upload_->commit(to_metadata(attribute), until);
    }

  private:
    const std::unique_ptr<unsized_upload> upload_;
};

}  // namespace

result<std::unique_ptr<block_writer>> make_s3_writer(std::shared_ptr<s3_core> core, md5_digest name,
                                                     std::optional<std::uint64_t> size) {
    if (auto admitted = core->watch->admit(); !admitted) return std::unexpected(std::move(admitted.error()));
    if (size) return std::make_unique<sized_writer>(std::move(core), name, *size);
    auto unsized = unsized_upload::make(std::move(core), name);
    if (!unsized) return std::unexpected(std::move(unsized.error()));
    return std::make_unique<unsized_writer>(std::move(*unsized));
}

}  // namespace keepstore::volumes::s3
