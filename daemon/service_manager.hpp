/// What systemd is told (sd_notify(3)): ready, stopping, still alive. Does nothing when not started by systemd.
/// Safe to use from any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace keepstore::daemon {

void notify_ready(const std::string& status);
void notify_stopping();
void notify_alive();

/// How often the watchdog wants to hear notify_alive(), if it is on: half of WATCHDOG_USEC.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace keepstore::daemon
