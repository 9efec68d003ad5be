// Ctrl-C as a flag that long work looks at, so that it can end cleanly and keep what it has.
#pragma once

namespace ampersand {

// From now on SIGINT and SIGTERM set the flag; a second one ends the process at once with status
// 130.
void catch_interrupts();

bool interrupted();

}  // namespace ampersand
