#include "volumes/s3/names.hpp"

namespace keepstore::volumes::s3 {

std::optional<md5_digest> object_names::parse(std::string_view key) const {
    if (prefix_ > 0) {
        if (key.size() != prefix_ + 33 || key[prefix_] != '/') return std::nullopt;
        if (key.substr(0, prefix_) != key.substr(prefix_ + 1, prefix_)) return std::nullopt;
        key.remove_prefix(prefix_ + 1);
    }
    return md5_digest::parse(key);
}

std::string object_names::key_of_digits(std::string_view digits) const {
    // The Go daemon forgets the folder when there is exactly one digit more than in it (docs/compatibility.md).
    if (prefix_ == 0 || digits.size() <= prefix_) return std::string(digits);
    std::string key(digits.substr(0, prefix_));
    key += '/';
    key += digits;
    return key;
}

}  // namespace keepstore::volumes::s3
