#include "protocol/rendezvous.hpp"

#include "digest/md5.hpp"

#include <span>
#include <string>

namespace keepstore::protocol {
namespace {

constexpr std::size_t arvados_uuid_characters = 27;
constexpr std::size_t weighted_characters = 15;

}  // namespace

std::string_view rendezvous_tail(std::string_view uuid) noexcept {
    return uuid.size() == arvados_uuid_characters ? uuid.substr(uuid.size() - weighted_characters) : uuid;
}

md5_digest rendezvous_weight(const md5_digest& block, std::string_view uuid) {
    const std::string text = block.hex().append(rendezvous_tail(uuid));
    return digest::md5_of(std::as_bytes(std::span(text)));
}

}  // namespace keepstore::protocol
