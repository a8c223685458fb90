/// Descriptors 0 to 2 of a process that was started without them.
#pragma once

namespace keepstore::daemon {

/// Opens /dev/null on those of stdin, stdout and stderr that are closed. Otherwise the next file that is opened gets
/// the number, and log lines go into it. Call before anything is opened.
void open_standard_descriptors();

}  // namespace keepstore::daemon
