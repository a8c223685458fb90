/// The keys that a cluster configuration may have, and their types. One walk over the tree warns about keys that
/// Arvados does not know, drops what the Go loader drops (docs/interface.md 1.1, 1.2: nulls, SAMPLE entries, keys that
/// differ from a known one by letter case only), and refuses values of the wrong type in every section, as the Go
/// loader does: a file that one service refuses is broken for the whole cluster.
#pragma once

#include "cluster_config/value.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::cluster_config {

struct schema_node {
    /// 'm' is a map described by the members below, 'w' a text or boolean; the others are in
    /// cluster_config/other_keys.inc.
    char type = 'm';
    std::map<std::string, schema_node, std::less<>> named;
    std::shared_ptr<schema_node> any;  ///< For names that the operator chooses.
};

/// The keys that only other services read (cluster_config/other_keys.inc).
[[nodiscard]] schema_node other_services_schema();
/// These, and those of keepstore (cluster_config/keys.hpp).
[[nodiscard]] const schema_node& cluster_schema();

/// The file that messages are about, and the list that takes warnings.
struct config_context {
    std::string file;
    std::vector<std::string>& warnings;

    /// "FILE:LINE: PATH: found WHAT; expected EXPECTED". Values of keys that name secrets are not shown.
    /// \throws config_error
    [[noreturn]] void fail(std::string_view path, const config_value& found, std::string_view expected) const;
    /// "FILE:LINE: PATH: TEXT", for errors that are not about a type. \throws config_error
    [[noreturn]] void fail_text(std::string_view path, int line, std::string_view text) const;
};

/// Whether the last part of the path says that the value must not be shown.
[[nodiscard]] bool names_a_secret(std::string_view path);

/// Cleans `value` in place as described above. `path` is the path of `value` itself, without a dot at its end.
/// \throws config_error for the first value of a wrong type.
void apply_schema(const schema_node& schema, config_value& value, const std::string& path, config_context& context);

}  // namespace keepstore::cluster_config
