/// What the probe of a bucket (s3/probe.hpp) tries with objects, and the report that its parts share.
#pragma once

#include "s3/client.hpp"
#include "s3/probe.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace keepstore::s3 {

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

  private:
    const probe_output out_;
    const deadline until_;
    bool good_ = true;
};

/// Tries the operations on objects that a volume needs. Awaited in place; client and report outlive it.
class object_probe {
  public:
    /// \param may_list  the keys may list the bucket.
    object_probe(const client& bucket, probe_report& report, bool may_list)
        : bucket_(bucket), report_(report), until_(report.until()), may_list_(may_list) {}

    /// For read-only volumes: reads some stored object. `key` is empty if none is known.
    [[nodiscard]] awaitable<void> check_stored(std::string key);
    /// Writes objects, reads, copies and deletes them.
    [[nodiscard]] awaitable<void> check_writing();

  private:
    [[nodiscard]] awaitable<bool> check_objects(std::string name);
    [[nodiscard]] awaitable<void> check_reading(std::string name);
    [[nodiscard]] awaitable<void> check_digest(std::string name);
    [[nodiscard]] awaitable<void> check_condition(std::string name);
    [[nodiscard]] awaitable<void> check_copy(std::string name, std::string to);
    [[nodiscard]] awaitable<void> check_multipart(std::string name);
    [[nodiscard]] deadline late() const;

    const client& bucket_;
    probe_report& report_;
    const deadline until_;
    const bool may_list_;
};

/// Returns "S3 list: 403 AccessDenied (request 1)" of an error whose text goes on with the advice.
[[nodiscard]] std::string_view without_advice(const error& e);

}  // namespace keepstore::s3
