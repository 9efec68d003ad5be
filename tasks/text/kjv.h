// The King James Bible: public-domain text that Debian packages.
#pragma once

#include "app/files/mapped_file.h"

namespace ampersand {

// The text, 4.3 MB of ASCII: each chapter's name on a line of its own, then its verses, numbered,
// one a line. It is what `bible -l100000 gen1:1-rev22:21` prints (Debian's packages bible-kjv and
// bible-kjv-text), kept in ampersand/kjv.txt in XDG_CACHE_HOME, or in .cache in HOME; where neither
// can be written, printed anew each time. The environment variable AMPERSAND_KJV may name another
// file, which is taken as it is.
//
// Throws amp::IoError for a file that AMPERSAND_KJV names and that cannot be read, and, naming the
// packages, where `bible` is missing or prints something else.
MappedFile open_kjv();

}  // namespace ampersand
