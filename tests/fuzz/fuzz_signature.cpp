/// Arbitrary bytes as "TOKEN\nLOCATOR": a signature made without the key is refused; one made with the key is accepted
/// until it expires, for this token only, and not with one digit changed.
#include "protocol/locator.hpp"
#include "protocol/signature.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace keepstore;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    static const protocol::locator_signer signer("a key that made none of the seeds", std::chrono::hours(336));
    constexpr std::chrono::sys_seconds now{std::chrono::seconds(1'700'000'000)};
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::string_view token = text.substr(0, text.find('\n'));
    const std::string_view claimed = text.substr(std::min(text.size(), token.size() + 1));

    if (signer.verify(claimed, token, now)) std::abort();
    const auto parsed = protocol::locator::parse(claimed);
    if (!parsed || token.empty()) return 0;
    const std::string good = signer.sign(parsed->bare(), token, now);
    if (!signer.verify(good, token, now)) std::abort();
    if (signer.verify(good, token, now + std::chrono::hours(337))) std::abort();
    if (signer.verify(good, std::string(token) + "x", now)) std::abort();
    std::string changed = good;
    char& digit = changed[changed.find("+A") + 2 + size % 40];
    digit = digit == '0' ? '1' : '0';
    if (signer.verify(changed, token, now)) std::abort();
    return 0;
}
