/// What the probes of S3 and Azure have in common: lines for the operator, the steps before the first signed request,
/// and small test objects.
///
/// Use from one coroutine; runs on its executor.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "cloud/call_runner.hpp"
#include "cloud/credentials/credentials.hpp"
#include "cloud/download.hpp"
#include "cloud/object.hpp"
#include "net/client/http_client.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::cloud {

struct probe_line {
    enum class outcome {
        ok,
        note,    ///< Works, but should be checked.
        failed,  ///< The volume will not work, or not safely.
    } result;
    std::string step;  ///< "bucket"
    std::string text;  ///< One sentence or two; for failures with what to do. No keys, no signatures.
};

/// Formats a line for a terminal: "ok: bucket: ...", "FAILED: bucket: ...".
[[nodiscard]] std::string to_text(const probe_line& line);

using probe_output = std::function<void(const probe_line&)>;

enum class probe_extent {
    read_only,  ///< Writes nothing: for read-only volumes.
    read_and_write,
};

/// The lines of a probe, and whether it found no fault.
class probe_report {
  public:
    probe_report(probe_output out, deadline until) : out_(std::move(out)), until_(until) {}

    /// \returns true.
    bool ok(std::string step, std::string text);
    /// \returns true.
    bool note(std::string step, std::string text);
    /// \returns false.
    bool failed(std::string step, std::string text);

    [[nodiscard]] bool good() const noexcept { return good_; }
    [[nodiscard]] deadline until() const noexcept { return until_; }
    /// The deadline of clean-up, which runs also after `until`.
    [[nodiscard]] deadline late() const;

  private:
    const probe_output out_;
    const deadline until_;
    bool good_ = true;
};

/// Where a probe connects to, and how. Stays the caller's.
struct probe_target {
    net::endpoint to;
    std::string target;  ///< Of a HEAD.
    connection_options how;
};

/// Resolves a host name to a list of addresses, or the resolver's error.
[[nodiscard]] awaitable<result<std::string>> resolve_host(const probe_target& where, std::string host);

/// The step "name", then "connection" (with TLS) and "clock" by a HEAD without a signature. `hint` is asked for what to
/// add to the text if there is no such name; may return an empty one.
[[nodiscard]] awaitable<bool> check_connection(probe_report& report, const probe_target& where,
                                               std::function<awaitable<std::string>()> hint);

/// The step "credentials".
bool report_credentials(probe_report& report, const result<credentials>& found);

/// Returns "S3 list: 403 AccessDenied (request 1)" of an error whose text goes on with its advice.
[[nodiscard]] std::string_view without_advice(const error& e, std::string_view advice);

// Test objects.
inline constexpr std::string_view probe_content =
    "This object was made by a test of its bucket or container and can be deleted.\n";
[[nodiscard]] md5_digest md5_of(std::string_view text);
[[nodiscard]] upload_body body_of(std::string_view text);
/// Returns "keepstore-probe/" and a random number.
[[nodiscard]] std::string unique_probe_name();
/// Reads the whole of a small download.
[[nodiscard]] awaitable<result<std::string>> text_of(result<object_download> download);

// The steps that are the same for both services, from the responses of their clients. `noun`: "object" or "blob".

/// The step "get" of a probe that writes nothing: `read` is the first byte of what some object has.
void report_stored(probe_report& report, const result<object_download>& read);
/// The step "get", unless it is good: after HEAD, a GET of the test object, and one of its bytes 5 to 10.
[[nodiscard]] bool report_read(probe_report& report, const result<object_info>& info, const result<std::string>& whole,
                               const result<std::string>& part);
/// The step "digest", after a PUT with a wrong Content-MD5, which must be refused: writes rely on it. Null: it was not.
void report_digest(probe_report& report, const error* refused);
/// The step "delete". \param head          asked after `del` only.
///                    \param if_there      what may be wrong if the object is still there.
///                    \param may_be_hidden a HEAD of what does not exist may be denied.
[[nodiscard]] awaitable<void> check_delete(probe_report& report, std::string_view noun, std::string name,
                                           awaitable<result<void>> del, awaitable<result<object_info>> head,
                                           std::string_view if_there, bool may_be_hidden = false);

}  // namespace keepstore::cloud
