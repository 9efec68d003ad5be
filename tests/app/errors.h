// What a refused call says.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "amp/error.h"

namespace ampersand::tests {

// The message of the `Error` that `call` throws; a failed test and "" when it throws none.
template <class Error = amp::IoError, class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an error";
  return "";
}

}  // namespace ampersand::tests
