// What a static registration has been refused for.
#pragma once

#include <exception>
#include <string>

namespace amp {

// For registration_error(). Thread-safe.
void keep_registration_error(const std::string& refusal);

// Does the work; a refusal becomes the registration error, for static initialisers must not throw.
template <typename Work>
bool registered_statically(Work&& work) noexcept {
  try {
    return work();
  } catch (const std::exception& refusal) {
    keep_registration_error(refusal.what());
    return false;
  }
}

}  // namespace amp
