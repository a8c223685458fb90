// The contract of all volumes, for the S3 driver on a real S3 server.
#include "tests/volumes/s3/s3_fixture.hpp"

#include <tuple>

namespace keepstore::test {

/// On S3 how long a block stays in the trash is the volume's, not the call's: it follows from when it was trashed. So a
/// short lifetime is played by looking into the trash later.
class s3_lifetimes final : public volumes::volume {
  public:
    explicit s3_lifetimes(s3_fixture& f) : fixture_(f), inner_(*f.volume) {}

    const std::string& device_id() const noexcept override { return inner_.device_id(); }
    awaitable<result<std::unique_ptr<volumes::block_reader>>> open(md5_digest name, deadline until) override {
        return inner_.open(name, until);
    }
    awaitable<result<std::unique_ptr<volumes::block_writer>>> create(md5_digest name, std::optional<std::uint64_t> size,
                                                                     deadline until) override {
        return inner_.create(name, size, until);
    }
    awaitable<result<void>> touch(md5_digest name, deadline until) override { return inner_.touch(name, until); }
    awaitable<result<volumes::block_time>> mtime(md5_digest name, deadline until) override {
        return inner_.mtime(name, until);
    }
    awaitable<result<volumes::trash_outcome>> trash(md5_digest name, volumes::trash_options options,
                                                    deadline until) override {
        const auto usual = fixture_.options.trash_lifetime;
        if (options.lifetime > std::chrono::nanoseconds::zero()) {
            later_ = usual - options.lifetime;
            options.lifetime = usual;
        }
        return inner_.trash(name, options, until);
    }
    awaitable<result<void>> untrash(md5_digest name, deadline until) override { return inner_.untrash(name, until); }
    awaitable<result<volumes::empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        fixture_.clock_shift = later_;
        auto stats = co_await inner_.empty_trash(concurrency, until);
        fixture_.clock_shift = std::chrono::nanoseconds::zero();
        co_return stats;
    }
    awaitable<result<void>> index(std::string prefix, volumes::index_sink& sink, deadline until) override {
        return inner_.index(std::move(prefix), sink, until);
    }
    volumes::volume_stats stats() const override { return inner_.stats(); }
    std::string health() const override { return inner_.health(); }

  private:
    s3_fixture& fixture_;
    volumes::volume& inner_;
    std::chrono::nanoseconds later_{0};
};

template <std::size_t PrefixLength>
class s3_maker {
  public:
    static constexpr bool mtime_in_nanoseconds = false;
    static constexpr bool keeps_attributes = false;  // Only those given with a commit.
    static constexpr bool keeps_trash_apart = true;
    static constexpr std::size_t large_block_bytes = 6 * MiB;

    volumes::volume& get() { return volume_; }
    void set_mtime(const md5_digest& name, volumes::block_time t) {
        const auto names = volumes::s3::object_names(PrefixLength);
        fixture_.age_object(names.recent(name), now() - t);
        s3_fixture::settle();
    }

  private:
    s3_fixture fixture_{[](volumes::s3_options& o) {
        o.prefix_length = PrefixLength;
        o.any_content = true;
        o.unsafe_delete = true;
        o.trash_lifetime = std::chrono::hours(1);
        o.index_page_size = 3;
    }};
    s3_lifetimes volume_{fixture_};
};

using s3_makers = std::tuple<s3_maker<0>, s3_maker<3>>;

}  // namespace keepstore::test

#define KEEPSTORE_VOLUME_MAKERS keepstore::test::s3_makers
#include "tests/contract/volume_contract.hpp"
