// The refusal of ops that a policy bans.
#include <string>

#include "amp/error.h"
#include "src/autocast/kernels.h"

namespace amp::autocast {

void refuse_banned(const char* op) {
  std::string message = std::string("Autocast: ") + op + " is banned by the policy of this region";
  if (std::string(op) == "binary_cross_entropy") {
    message +=
        ", because its gradient overflows fp16; use binary_cross_entropy_with_logits, which takes "
        "what comes before the sigmoid, or run it in a region with {.enabled = false} on fp32 "
        "inputs";
  } else {
    message += "; run it in a region with {.enabled = false}, or give it another rule";
  }
  throw UnsupportedError(message);
}

}  // namespace amp::autocast
