// A pickle is a program for a stack machine; this one knows the instructions that make plain data.
#include "src/pickle/read_pickle.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "src/checkpoint/strict_json.h"

namespace amp::pickle {
namespace {

using checkpoint::shown;

constexpr std::size_t kNewestProtocol = 5;

// Python's names of the instructions.
enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kProto = 0x80,
  kFrame = 0x95,
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kBinFloat = 'G',
  kBinUnicode = 'X',
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kEmptyList = ']',
  kList = 'l',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyDict = '}',
  kDict = 'd',
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kMemoize = 0x94,
  kBinGet = 'h',
  kLongBinGet = 'j',
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kReduce = 'R',
};

// What the instructions that a message is worth a name for would do.
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

class Reader {
 public:
  Reader(std::string_view bytes, const std::filesystem::path& path) : bytes_(bytes), path_(path) {}

  PlainData read() {
    if (byte() != kProto) refuse("does not begin as a pickle of protocol 2 or newer does");
    const std::size_t protocol = byte();
    if (protocol < 2 || protocol > kNewestProtocol) {
      refuse("is a pickle of protocol " + std::to_string(protocol) + ", not of 2 to " +
             std::to_string(kNewestProtocol));
    }
    for (unsigned char opcode = byte(); opcode != kStop; opcode = byte()) execute(opcode);
    data_.root = pop();
    if (!stack_.empty() || !marks_.empty()) refuse("leaves values over when it ends");
    return std::move(data_);
  }

  std::size_t consumed() const { return at_; }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw IoError(path_, "the pickle in it " + what + "; write the file again");
  }

  // What is read.

  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - at_) refuse("is cut short at its byte " + std::to_string(at_));
    const auto taken = bytes_.substr(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }

  unsigned char byte() { return static_cast<unsigned char>(take(1)[0]); }

  std::uint64_t little_endian(std::size_t count) {
    std::uint64_t value = 0;
    const auto taken = take(count);
    for (std::size_t i = count; i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(taken[i]);
    }
    return value;
  }

  double big_endian_double() {
    std::uint64_t bits = 0;
    for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
    return std::bit_cast<double>(bits);
  }

  // An int of `count` bytes, two's complement.
  std::int64_t integer(std::uint64_t count) {
    if (count > 8) throw NotPlain{"an int beyond 64 bits"};
    if (count == 0) return 0;
    const auto unused = static_cast<int>(64 - 8 * count);  // bits, all equal to the sign
    const auto bits = little_endian(static_cast<std::size_t>(count)) << unused;
    return static_cast<std::int64_t>(bits) >> unused;
  }

  std::string_view line() {
    const auto end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) refuse("is cut short at its byte " + std::to_string(at_));
    const auto taken = take(end - at_);
    ++at_;
    return taken;
  }

  // The stack.

  void push(Value value) {
    stack_.push_back(data_.values.size());
    data_.values.push_back(std::move(value));
  }

  std::size_t bottom() const { return marks_.empty() ? 0 : marks_.back(); }

  Ref top() const {
    if (stack_.size() <= bottom()) refuse("takes a value that is not there");
    return stack_.back();
  }

  Ref pop() {
    const Ref ref = top();
    stack_.pop_back();
    return ref;
  }

  std::vector<Ref> pop(std::size_t count) {
    if (stack_.size() - bottom() < count) refuse("takes a value that is not there");
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<Ref> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    return items;
  }

  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) refuse("takes a mark that is not there");
    auto items = pop(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  template <class Kind>
  Kind& top_as(const char* name) {
    auto* value = std::get_if<Kind>(&data_.values[top()]);
    if (value == nullptr) refuse(std::string("adds items to what is no ") + name);
    return *value;
  }

  void append(const std::vector<Ref>& items) {
    auto& list = top_as<List>("list");
    list.items.insert(list.items.end(), items.begin(), items.end());
  }

  void set_items(const std::vector<Ref>& items) {
    if (items.size() % 2 != 0) refuse("has a key without a value");
    auto& dict = top_as<Dict>("dict");
    for (std::size_t i = 0; i < items.size(); i += 2) {
      dict.entries.emplace_back(items[i], items[i + 1]);
    }
  }

  // The memo.

  void put(std::uint64_t index) { memo_[index] = top(); }

  void get(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) refuse("repeats a value that it has not given");
    stack_.push_back(found->second);
  }

  // Classes, of which it knows one.

  void global(const std::string& module, const std::string& name) {
    if (module != "collections" || name != "OrderedDict") {
      throw NotPlain{"the class or function " + shown(module + "." + name)};
    }
    push(OrderedDictClass{});
  }

  void stack_global() {
    const auto names = pop(2);
    const auto* module = std::get_if<std::string>(&data_.values[names[0]]);
    const auto* name = std::get_if<std::string>(&data_.values[names[1]]);
    if (module == nullptr || name == nullptr) refuse("names a class by what is no str");
    global(std::string(*module), std::string(*name));
  }

  // OrderedDict(): Python fills it afterwards, as it fills a dict.
  void reduce() {
    const auto call = pop(2);
    if (!std::holds_alternative<OrderedDictClass>(data_.values[call[0]])) {
      throw NotPlain{"a call"};
    }
    const auto* arguments = std::get_if<List>(&data_.values[call[1]]);
    if (arguments == nullptr || !arguments->items.empty()) {
      throw NotPlain{"an OrderedDict with arguments"};
    }
    push(Dict{});
  }

  void execute(unsigned char opcode) {
    if (!push_scalar(opcode) && !build(opcode) && !use_memo_or_class(opcode)) {
      throw NotPlain{named(opcode)};
    }
  }

  bool push_scalar(unsigned char opcode) {
    switch (opcode) {
      case kNone:
        push(None{});
        break;
      case kNewTrue:
        push(true);
        break;
      case kNewFalse:
        push(false);
        break;
      case kBinInt:
        push(integer(4));
        break;
      case kBinInt1:
        push(static_cast<std::int64_t>(little_endian(1)));
        break;
      case kBinInt2:
        push(static_cast<std::int64_t>(little_endian(2)));
        break;
      case kLong1:
        push(integer(little_endian(1)));
        break;
      case kLong4:
        push(integer(little_endian(4)));
        break;
      case kBinFloat:
        push(big_endian_double());
        break;
      case kShortBinUnicode:
        push(std::string(take(little_endian(1))));
        break;
      case kBinUnicode:
        push(std::string(take(little_endian(4))));
        break;
      case kBinUnicode8:
        push(std::string(take(little_endian(8))));
        break;
      default:
        return false;
    }
    return true;
  }

  bool build(unsigned char opcode) {
    switch (opcode) {
      case kMark:
        marks_.push_back(stack_.size());
        break;
      case kEmptyList:
      case kEmptyTuple:
        push(List{});
        break;
      case kList:
      case kTuple:
        push(List{pop_to_mark()});
        break;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        push(List{pop(opcode - kTuple1 + 1U)});
        break;
      case kAppend:
        append(pop(1));
        break;
      case kAppends:
        append(pop_to_mark());
        break;
      case kEmptyDict:
        push(Dict{});
        break;
      case kDict: {
        const auto items = pop_to_mark();
        push(Dict{});
        set_items(items);
        break;
      }
      case kSetItem:
        set_items(pop(2));
        break;
      case kSetItems:
        set_items(pop_to_mark());
        break;
      default:
        return false;
    }
    return true;
  }

  bool use_memo_or_class(unsigned char opcode) {
    switch (opcode) {
      case kFrame:  // how much Python should read at once; it has been read
        little_endian(8);
        break;
      case kBinPut:
        put(little_endian(1));
        break;
      case kLongBinPut:
        put(little_endian(4));
        break;
      case kMemoize:
        put(memo_.size());
        break;
      case kBinGet:
        get(little_endian(1));
        break;
      case kLongBinGet:
        get(little_endian(4));
        break;
      case kGlobal: {
        const std::string module(line());
        global(module, std::string(line()));
        break;
      }
      case kStackGlobal:
        stack_global();
        break;
      case kReduce:
        reduce();
        break;
      default:
        return false;
    }
    return true;
  }

  std::string_view bytes_;
  const std::filesystem::path& path_;
  std::size_t at_ = 0;
  PlainData data_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;  // how high the stack was
  std::unordered_map<std::uint64_t, Ref> memo_;
};

}  // namespace

PlainData read_pickle(std::string_view& bytes, const std::filesystem::path& path) {
  Reader reader(bytes, path);
  auto data = reader.read();
  bytes.remove_prefix(reader.consumed());
  return data;
}

}  // namespace amp::pickle
