/// Tells systemd (sd_notify(3)) that the process is ready, stopping, or alive, and what it does. Does nothing if not
/// started by systemd. Safe to use from any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace keepstore {

void notify_ready(const std::string& status);
void notify_status(const std::string& status);
void notify_stopping(const std::string& status);
void notify_alive();

/// \returns the interval for notify_alive(), half of WATCHDOG_USEC; nullopt if the watchdog is off.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace keepstore
