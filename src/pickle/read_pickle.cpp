// A pickle is a program for a stack machine; this one knows the instructions that make plain data.
#include "src/pickle/read_pickle.h"

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "src/files/strict_json.h"
#include "src/pickle/cursor.h"
#include "src/pickle/opcodes.h"

namespace amp::pickle {
namespace {

using files::shown;

constexpr std::size_t kNewestProtocol = 5;

class Reader {
 public:
  explicit Reader(Cursor& bytes) : bytes_(bytes) {}

  PlainData read() {
    if (bytes_.byte() != kProto) refuse("does not begin as a pickle of protocol 2 or newer does");
    const std::size_t protocol = bytes_.byte();
    if (protocol < 2 || protocol > kNewestProtocol) {
      refuse("is a pickle of protocol " + std::to_string(protocol) + ", not of 2 to " +
             std::to_string(kNewestProtocol));
    }
    for (unsigned char opcode = bytes_.byte(); opcode != kStop; opcode = bytes_.byte())
      execute(opcode);
    data_.root = pop();
    if (!stack_.empty() || !marks_.empty()) refuse("leaves values over when it ends");
    return std::move(data_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const { bytes_.refuse(what); }

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
        push(bytes_.integer(4));
        break;
      case kBinInt1:
        push(static_cast<std::int64_t>(bytes_.little_endian(1)));
        break;
      case kBinInt2:
        push(static_cast<std::int64_t>(bytes_.little_endian(2)));
        break;
      case kLong1:
        push(bytes_.integer(bytes_.little_endian(1)));
        break;
      case kLong4:
        push(bytes_.integer(bytes_.little_endian(4)));
        break;
      case kBinFloat:
        push(bytes_.big_endian_double());
        break;
      case kShortBinUnicode:
        push(std::string(bytes_.take(bytes_.little_endian(1))));
        break;
      case kBinUnicode:
        push(std::string(bytes_.take(bytes_.little_endian(4))));
        break;
      case kBinUnicode8:
        push(std::string(bytes_.take(bytes_.little_endian(8))));
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
        bytes_.little_endian(8);
        break;
      case kBinPut:
        put(bytes_.little_endian(1));
        break;
      case kLongBinPut:
        put(bytes_.little_endian(4));
        break;
      case kMemoize:
        put(memo_.size());
        break;
      case kBinGet:
        get(bytes_.little_endian(1));
        break;
      case kLongBinGet:
        get(bytes_.little_endian(4));
        break;
      case kGlobal: {
        const std::string module(bytes_.line());
        global(module, std::string(bytes_.line()));
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

  Cursor& bytes_;
  PlainData data_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;  // how high the stack was
  std::unordered_map<std::uint64_t, Ref> memo_;
};

}  // namespace

PlainData read_pickle(std::string_view& bytes, const std::filesystem::path& path) {
  Cursor cursor(bytes, path);
  auto data = Reader(cursor).read();
  bytes.remove_prefix(cursor.at());
  return data;
}

}  // namespace amp::pickle
