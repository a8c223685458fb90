/// Reads XML documents that services send, strictly: a truncated, HTML or empty body is no document. Element names are
/// compared without namespace prefix. For the parsers of s3/xml.cpp and azure/xml.cpp; callers of clients do not see
/// it.
///
/// pugixml knows no entities but the five of XML, opens no files and parses without recursion.
#pragma once

#include <pugixml.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace keepstore::cloud::xml {

/// A whole body, parsed.
class xml_document {
  public:
    explicit xml_document(std::string_view body);
    [[nodiscard]] pugi::xml_node root() const { return root_; }
    [[nodiscard]] bool ok() const { return static_cast<bool>(root_); }

  private:
    pugi::xml_document doc_;
    pugi::xml_node root_;
};

[[nodiscard]] std::string_view local_name(pugi::xml_node node);

/// Returns the first child element of this name; an empty node if there is none.
[[nodiscard]] pugi::xml_node child(pugi::xml_node parent, std::string_view name);
/// Returns how many child elements of this name there are.
[[nodiscard]] std::size_t count_children(pugi::xml_node parent, std::string_view name);

/// Returns the whole text of a child, also where a comment or a CDATA section divides it; empty if there is none.
[[nodiscard]] std::string text_of(pugi::xml_node parent, std::string_view name);
/// Returns the whole text of this node itself.
[[nodiscard]] std::string own_text(pugi::xml_node node);
/// Returns the text of a child without the white space around it, which the types of XML Schema but strings ignore.
[[nodiscard]] std::string token_of(pugi::xml_node parent, std::string_view name);

/// Parses an xsd:boolean, in any case. nullopt for anything else.
[[nodiscard]] std::optional<bool> to_boolean(std::string_view text);

/// Says what a body is that is no document: "an HTML page instead of XML".
[[nodiscard]] std::string_view describe_body(std::string_view body);

}  // namespace keepstore::cloud::xml
