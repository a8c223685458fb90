// More downloads than the least that a service is expected to take: those of large blocks begin with a part.
#include "tests/s3/bucket_fixture.hpp"
#include "tests/volumes/s3/stub_replies.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace keepstore::test {
namespace {

using range_list = std::vector<std::string>;

constexpr const char* first_part = "bytes=0-2097151";

/// A service with one object of 16 MiB under any key. With a second reader there are many.
class crowd {
  public:
    /// How ranges are answered; some without the size of the object, which a HEAD then says or does not.
    enum class ranges { known, ignored, refused, unsized, unsized_without_head };

    explicit crowd(ranges known = ranges::known, bool in_parts = false)
        : known_(known),
          service_([this](const seen_request& r, std::size_t) { return answer(r); }),
          volume_(open_volume(options(in_parts))) {}

    [[nodiscard]] result<std::unique_ptr<volumes::block_reader>> open(const md5_digest& name,
                                                                      std::optional<std::size_t> size = {}) {
        return run(volume_->open_for(name, {.size = size.value_or(content.size())}, soon()));
    }
    /// A reader of a block of its own, which stays after its first bytes.
    [[nodiscard]] std::unique_ptr<volumes::block_reader> begin(const md5_digest& name) {
        auto reader = open(name);
        REQUIRE(reader);
        REQUIRE(run((*reader)->read_at(0, into_, soon())));
        return std::move(*reader);
    }
    [[nodiscard]] bool reads_right(volumes::block_reader& reader) {
        for (std::size_t at = 0; at < reader.size(); at += into_.size()) {
            const auto got = run(reader.read_at(at, into_, soon()));
            const auto expected = std::min<std::size_t>(into_.size(), reader.size() - at);
            if (!got || *got != expected || std::memcmp(into_.bytes.data(), content.data() + at, expected) != 0)
                return false;
        }
        return true;
    }
    [[nodiscard]] range_list asked_of(const md5_digest& name) const {
        range_list out;
        for (const auto& r : service_.seen())
            if (r.method == "GET" && r.path().contains(name.hex())) out.push_back(r.header("range"));
        return out;
    }

    const bytes content = random_bytes(limits::cloud_parallel_block_bytes_min + 5);
    const std::string last = std::to_string(content.size() - 1);
    // By hash.
    std::map<std::string, std::size_t> smaller;  ///< Sizes of objects.
    std::set<std::string> refused;               ///< Objects of which every GET is refused.

  private:
    [[nodiscard]] volumes::s3_options options(bool in_parts) const {
        auto o = stub_volume(service_);
        o.downloads = {.most = 64, .least = 1};
        o.always_parts = in_parts;
        return o;
    }
    [[nodiscard]] stub_reply answer(const seen_request& r) const {
        if (is_listing(r)) return empty_listing();
        if (r.method == "HEAD" && known_ == ranges::unsized && !is_marker(r)) return object_reply(text_);
        if (r.method != "GET") return signed_reply(404);
        if (std::ranges::any_of(refused, [&](const auto& hash) { return r.path().contains(hash); }))
            return refused_with(400, "InvalidRequest");
        auto text = text_;
        for (const auto& [hash, size] : smaller)
            if (r.path().contains(hash)) text.resize(size);
        if (known_ == ranges::refused && !r.header("range").empty()) return refused_with(501, "NotImplemented");
        if (known_ == ranges::ignored) return object_reply(text);
        return known_ == ranges::known ? ranged_reply(r, text) : without_total(ranged_reply(r, text));
    }

    const ranges known_;
    const std::string text_{reinterpret_cast<const char*>(content.data()), content.size()};
    const mutable_slice into_ = make_heap_slice(MiB);
    stub_service service_;
    std::unique_ptr<volumes::volume> volume_;
};

}  // namespace

TEST_CASE("where there are many, downloads of large blocks begin with a part", "[volumes][s3][stub][turns]") {
    using ranges = crowd::ranges;
    const auto known =
        GENERATE(ranges::known, ranges::ignored, ranges::refused, ranges::unsized, ranges::unsized_without_head);
    CAPTURE(int(known));
    crowd c(known);
    const std::vector names{random_name(), random_name(), random_name()};
    const auto alone = c.begin(names[0]);
    CHECK(c.asked_of(names[0]) == range_list{""});
    const auto second = c.begin(names[1]);
    const auto third = c.begin(names[2]);
    CHECK(c.reads_right(*third));
    const range_list parts{first_part, "bytes=2097152-6291455", "bytes=6291456-14680063", "bytes=14680064-" + c.last};
    if (known == ranges::known) {
        CHECK(c.asked_of(names[2]) == parts);
    } else if (known == ranges::unsized) {
        // The first one twice: its size is asked for in between, and known from then on.
        auto asked = c.asked_of(names[2]);
        CHECK(asked.front() == first_part);
        asked.erase(asked.begin());
        CHECK(asked == parts);
    } else {
        CHECK(c.asked_of(names[1]) == range_list{first_part, ""});
        CHECK(c.asked_of(names[2]) == range_list{""});
    }
}

TEST_CASE("where there are many, a block that is not as large as expected is read whole",
          "[volumes][s3][stub][turns]") {
    crowd c;
    const std::vector names{random_name(), random_name(), random_name(), random_name()};
    const auto alone = c.begin(names[0]);
    SECTION("expected to be small") {
        const auto reader = c.open(names[1], MiB);
        REQUIRE(reader);
        CHECK(c.reads_right(**reader));
        CHECK(c.asked_of(names[1]) == range_list{""});
    }
    SECTION("smaller than a part") {
        c.smaller[names[1].hex()] = MiB + 3;
        const auto reader = c.open(names[1]);
        REQUIRE(reader);
        CHECK((*reader)->size() == MiB + 3);
        CHECK(c.reads_right(**reader));
        CHECK(c.asked_of(names[1]) == range_list{first_part});
    }
}

TEST_CASE("where there are many, an object that has no part does not stop the turns", "[volumes][s3][stub][turns]") {
    crowd c;
    const std::vector names{random_name(), random_name(), random_name()};
    const auto alone = c.begin(names[0]);
    SECTION("it cannot be read") {
        c.refused.insert(names[1].hex());
        CHECK_FALSE(c.open(names[1]));
    }
    SECTION("it is empty") {
        c.smaller[names[1].hex()] = 0;
        const auto reader = c.open(names[1]);
        REQUIRE(reader);
        CHECK((*reader)->size() == 0);
    }
    CHECK(c.asked_of(names[1]) == range_list{first_part, ""});
    const auto third = c.begin(names[2]);
    CHECK(c.asked_of(names[2]).front() == first_part);
}

TEST_CASE("where there are many, concurrent ranges of a block are as ever", "[volumes][s3][stub][turns][ranges]") {
    crowd c(crowd::ranges::known, true);
    const std::vector names{random_name(), random_name()};
    const auto alone = c.begin(names[0]);
    const auto second = c.begin(names[1]);
    CHECK(c.reads_right(*second));
    auto asked = c.asked_of(names[1]);
    std::ranges::sort(asked);
    CHECK(asked == range_list{"bytes=0-4194303", "bytes=12582912-16777215", "bytes=16777216-" + c.last,
                              "bytes=4194304-8388607", "bytes=8388608-12582911"});
}

}  // namespace keepstore::test
