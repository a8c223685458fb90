/// Goes through the objects of one kind in one segment of a bucket, in the order of their hashes, page by page. Keys
/// that are not of this kind, and objects larger than a block, are counted and passed over. Used by one coroutine.
///
///     KS_CO_CHECK(co_await blocks.load(until));
///     while (const auto* object = blocks.current()) { ...; blocks.advance(); KS_CO_CHECK(co_await blocks.load(until));
///     }
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "keepctl/clone/clone_bucket.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace keepstore::keepctl {

class object_cursor {
  public:
    struct object {
        md5_digest name;
        std::uint64_t size = 0;
        std::string etag;                            ///< Without quotes, as for copy_options::if_match.
        std::optional<md5_digest> content_md5 = {};  ///< As the service keeps it; S3 has none.
    };
    /// Requests one page; a place for a limit of requests, and for tests.
    using lister = std::function<awaitable<result<s3::list_page>>(s3::list_options, deadline)>;

    /// Of blocks whose names begin with `digits`. The bucket must outlive it.
    object_cursor(const clone_bucket& of, object_kind kind, const std::string& digits, lister list);

    /// Makes current() valid, requesting the next page if need be. An error is final: the listing is incomplete, or not
    /// in order.
    [[nodiscard]] awaitable<result<void>> load(deadline until);
    /// The object, or null at the end.
    [[nodiscard]] const object* current() const noexcept { return current_ ? &*current_ : nullptr; }
    void advance();
    /// Whether load() would send a request.
    [[nodiscard]] bool needs_page() const noexcept { return !current_ && (!ended_ || unordered_); }

    /// Keys that were passed over.
    [[nodiscard]] std::uint64_t foreign() const noexcept { return foreign_; }

  private:
    void parse_next();

    const clone_bucket& bucket_;
    const object_kind kind_;
    const std::string folder_;
    const lister list_;
    s3::list_options where_;
    s3::list_page page_;
    std::size_t next_ = 0;  // In the page.
    std::optional<object> current_;
    bool begun_ = false;
    bool ended_ = false;
    bool unordered_ = false;
    std::optional<md5_digest> last_;
    std::uint64_t foreign_ = 0;
};

}  // namespace keepstore::keepctl
