// What the instructions that are refused would make.
#include "src/pickle/opcodes.h"

namespace amp::pickle {

std::string named(unsigned char opcode) {
  switch (opcode) {
    case 'b':
      return "an object's attributes";
    case 'P':
    case 'Q':
      return "a tensor";  // a persistent id, which torch.save gives to storages
    case 'i':
    case 'o':
    case 0x81:
    case 0x92:
      return "an instance of a class";
    case 'B':
    case 'C':
    case 'T':
    case 'U':
    case 0x8e:
    case 0x96:
      return "bytes";
    case 0x8f:
    case 0x90:
    case 0x91:
      return "a set";
    default:
      return "the pickle instruction " + std::to_string(opcode);
  }
}

}  // namespace amp::pickle
