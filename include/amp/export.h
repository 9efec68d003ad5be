// Which symbols libamp shows to others. Exceptions and classes need it too: a hidden typeinfo would
// break `catch` and `dynamic_cast` across shared libraries.
#pragma once

#if defined(__GNUC__)
#define AMP_API __attribute__((visibility("default")))
#else
#define AMP_API
#endif
