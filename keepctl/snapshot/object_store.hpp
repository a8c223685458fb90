/// Where the files of a repository are: a directory (file_store.cpp) or a bucket (bucket_store.cpp). Keys are paths
/// below its root. Objects are written once; latest.json alone is replaced, by compare-and-swap.
///
/// Used from one event loop; calls are awaited in place, end at their deadline, and can be cancelled. A call that ended
/// so may still take effect. Errors: errc::not_found only if there is no such object.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "keepctl/snapshot/inventory.hpp"
#include "keepctl/snapshot/limits.hpp"
#include "keepctl/snapshot/object_bytes.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::s3 {
class client;
}

namespace keepstore::keepctl {

struct stored_text {
    std::string text;
    std::string version;  ///< For swap(): the same as long as the object is.
};

struct stored_object {
    std::string key;
    std::uint64_t bytes = 0;
    std::chrono::sys_seconds written_at;  ///< By the clock of the service.
};

/// How a swap ended. Errors of the call are those after which latest.json is certain to be as it was.
enum class swap_end : unsigned char {
    done,
    lost,     ///< Another version is there, or none, or another swap was being carried out.
    unknown,  ///< No response, or that of a failing service: it may take effect, now or in a moment.
};

class object_store {
  public:
    virtual ~object_store() = default;

    /// As the command line names it.
    [[nodiscard]] virtual const std::string& name() const noexcept = 0;

    /// Proves that swaps are atomic here, by objects below probe/. errc::unsupported, with advice, if they are not.
    [[nodiscard]] virtual awaitable<result<void>> prove_swap(deadline until) = 0;

    /// Reads an object of at most `limit` bytes; errc::too_large.
    [[nodiscard]] virtual awaitable<result<stored_text>> read(std::string key, std::size_t limit, deadline until) = 0;
    /// Reads an object of exactly the buffer's size; errc::checksum_mismatch if it has another one.
    [[nodiscard]] virtual awaitable<result<void>> read_into(std::string key, std::shared_ptr<inventory_buffer> into,
                                                            deadline until) = 0;
    /// Writes a new object, durably: all of it or nothing.
    [[nodiscard]] virtual awaitable<result<void>> write(std::string key, std::shared_ptr<const object_bytes> bytes,
                                                        deadline until) = 0;
    /// Replaces the object if it still has this version, or, without a version, makes it if there is none. `bytes`
    /// differ from those of every other swap.
    [[nodiscard]] virtual awaitable<result<swap_end>> swap(std::string key, std::string text,
                                                           std::optional<std::string> version, deadline until) = 0;
    /// All objects whose keys begin with `prefix`, which is empty or ends with a slash; in any order.
    [[nodiscard]] virtual awaitable<result<std::vector<stored_object>>> list(std::string prefix, deadline until) = 0;
    /// Success also if there was no such object.
    [[nodiscard]] virtual awaitable<result<void>> remove(std::string key, deadline until) = 0;

    /// The time by the clock of the service, from an object that is written for it.
    [[nodiscard]] virtual awaitable<result<std::chrono::sys_seconds>> now(deadline until) = 0;
    /// Removes what writes left that were begun before `before` and never ended, and empty folders.
    [[nodiscard]] virtual awaitable<result<void>> remove_unfinished(std::chrono::sys_seconds before,
                                                                    deadline until) = 0;
};

/// \param root  an absolute path of a directory that is there.
[[nodiscard]] std::unique_ptr<object_store> make_file_store(std::string root);

struct bucket_store_options {
    std::string name;    ///< As the command line names it.
    std::string prefix;  ///< Empty, or ends with a slash.
    /// Nothing else writes: latest.json is read again and then replaced without a condition.
    bool single_writer = false;
    std::function<void(std::string_view)> warn = {};
};
[[nodiscard]] std::unique_ptr<object_store> make_bucket_store(s3::client client, bucket_store_options options);

/// For a call about small objects, with its retries.
[[nodiscard]] inline deadline request_deadline() {
    return deadline::in(limits::repository_request_timeout);
}

}  // namespace keepstore::keepctl
