/// What the probe of a bucket (s3/probe.hpp) tries with objects, and the report that its parts share.
#pragma once

#include "s3/client.hpp"
#include "s3/probe.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace keepstore::s3 {

using cloud::probe_report;

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

    const client& bucket_;
    probe_report& report_;
    const deadline until_;
    const bool may_list_;
};

}  // namespace keepstore::s3
