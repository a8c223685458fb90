/// The man page and the completions of shells, made from the tree of commands that the parser uses.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

/// In roff's man macros: of one command, or of all. Nothing for an unknown command.
[[nodiscard]] std::optional<std::string> man_page(std::string_view command);

/// For "bash", "zsh" or "fish"; nothing for another one.
[[nodiscard]] std::optional<std::string> completion_script(std::string_view shell);

}  // namespace keepstore::keepctl
