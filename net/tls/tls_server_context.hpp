/// Certificate and key of a TLS listener, re-read on demand without dropping connections: each connection keeps the
/// context that it began with.
///
/// Safe to call from any thread.
#pragma once

#include "base/error.hpp"

#include <filesystem>
#include <memory>
#include <mutex>

struct ssl_ctx_st;

namespace keepstore::net {

class tls_server_context {
  public:
    /// Reads both files (PEM; the certificate with its chain). \returns errc::bad_request with what is wrong with them.
    [[nodiscard]] static result<std::shared_ptr<tls_server_context>> load(std::filesystem::path certificate,
                                                                          std::filesystem::path key);

    /// Reads the files again. If that fails it logs a warning, and the old certificate stays in use.
    /// \returns whether it worked.
    bool reload();

    [[nodiscard]] std::shared_ptr<ssl_ctx_st> current() const;

  private:
    tls_server_context(std::filesystem::path certificate, std::filesystem::path key,
                       std::shared_ptr<ssl_ctx_st> context);

    const std::filesystem::path certificate_;
    const std::filesystem::path key_;
    mutable std::mutex mutex_;
    std::shared_ptr<ssl_ctx_st> current_;  ///< Guarded by mutex_.
};

}  // namespace keepstore::net
