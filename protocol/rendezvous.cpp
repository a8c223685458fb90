#include "protocol/rendezvous.hpp"

#include "digest/md5.hpp"

#include <span>
#include <string>

namespace keepstore::protocol {
namespace {

constexpr std::size_t arvados_uuid_characters = 27;
constexpr std::size_t weighted_characters = 15;

}  // namespace

md5_digest rendezvous_weight(const md5_digest& block, std::string_view uuid) {
    if (uuid.size() == arvados_uuid_characters) uuid.remove_prefix(arvados_uuid_characters - weighted_characters);
    const std::string text = block.hex().append(uuid);
    return digest::md5_of(std::as_bytes(std::span(text)));
}

}  // namespace keepstore::protocol
