/// Which keys a cluster configuration may have, and of which type (cluster_config/known_keys.inc).
/// One walk over the tree warns about what Arvados does not know, drops what the Go loader would
/// drop (docs/interface.md 1.1, 1.2: nulls, SAMPLE entries, keys that differ from a known one by letter case
/// only), and refuses values of the wrong type in every section, as the Go loader does, because a
/// file that one service refuses is a broken file for the whole cluster.
#pragma once

#include "cluster_config/value.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::cluster_config {

struct schema_node {
    char type = 'm';  ///< 'm' is a map described by the members below; the others are listed in the table.
    std::map<std::string, schema_node, std::less<>> named;
    std::unique_ptr<schema_node> any;  ///< For names that the operator chooses.
};

/// The table, parsed once.
[[nodiscard]] const schema_node& cluster_schema();

/// Whose messages these are, and where warnings go.
struct config_context {
    std::string file;
    std::vector<std::string>& warnings;

    /// "FILE:LINE: PATH: found WHAT; expected EXPECTED". Values of keys that name secrets are not
    /// shown.
    /// \throws config_error
    [[noreturn]] void fail(std::string_view path, const config_value& found, std::string_view expected) const;
    /// "FILE:LINE: PATH: TEXT", for what is not about a type. \throws config_error
    [[noreturn]] void fail_text(std::string_view path, int line, std::string_view text) const;
};

/// Whether the last part of the path says that the value must not be shown.
[[nodiscard]] bool names_a_secret(std::string_view path);

/// Cleans `value` in place as described above. `path` is the path of `value` itself, without a dot
/// at its end.
/// \throws config_error for the first value of a wrong type.
void apply_schema(const schema_node& schema, config_value& value, const std::string& path, config_context& context);

}  // namespace keepstore::cluster_config
