// What a model threw, in words that name where.
#include "amp/inspect/thrown.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <limits>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "amp/precision/format.h"
#include "src/inspect/words.h"

namespace amp {
namespace {

using Kind = Thrown::Kind;

constexpr std::array<std::pair<std::string_view, const char*>, 8> kFormats = {
    {{"Half", "fp16"},
     {"BFloat16", "bf16"},
     {"Float8_e4m3fn", "e4m3"},
     {"Float8_e5m2", "e5m2"},
     {"float", "fp32"},
     {"Float", "fp32"},
     {"double", "fp64"},
     {"Double", "fp64"}}};

// "c10::Half" as "fp16"; what is no floating-point type stays as it is.
std::string format_named(std::string type) {
  if (const auto colon = type.rfind(':'); colon != std::string::npos) type.erase(0, colon + 1);
  for (const auto& [known, name] : kFormats) {
    if (type == known) return name;
  }
  return type;
}

// The text between two parts of a text; empty if the parts are not in it.
std::string between(const std::string& text, std::string_view begin, std::string_view end) {
  auto from = text.find(begin);
  if (from == std::string::npos) return {};
  from += begin.size();
  const auto to = text.find(end, from);
  return to == std::string::npos ? std::string() : text.substr(from, to - from);
}

// The floating-point type whose name follows these words; empty if none does.
std::string format_after(const std::string& message, std::string_view words) {
  const auto found = message.find(words);
  if (found == std::string::npos) return {};
  const auto begin = found + words.size();
  const auto is_name = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == ':';
  };
  const auto end = std::find_if_not(message.begin() + static_cast<std::ptrdiff_t>(begin),
                                    message.end(), is_name);
  const std::string type(message.begin() + static_cast<std::ptrdiff_t>(begin), end);
  const auto format = format_named(type);
  const bool is_known =
      std::ranges::any_of(kFormats, [&](const auto& known) { return format == known.second; });
  return is_known ? format : std::string();
}

// LibTorch's own wordings: of a scalar that is converted, and of the bounds of random numbers.
std::string format_that_was_too_small(const std::string& message) {
  const auto type = between(message, "cannot be converted to type ", " without overflow");
  if (!type.empty()) return format_named(type);
  const auto format = format_after(message, " is out of bounds for ");
  return format.empty() ? format_after(message, "<= std::numeric_limits<") : format;
}

bool is_about_memory(std::string message) {
  std::ranges::transform(message, message.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::any_of(
      std::array{"can't allocate memory", "not enough memory", "out of memory", "bad_alloc"},
      [&](const char* words) { return message.find(words) != std::string::npos; });
}

std::string first_line(const std::string& text) {
  const auto begin = text.find_first_not_of(" \n");
  return begin == std::string::npos ? std::string()
                                    : text.substr(begin, text.find('\n', begin) - begin);
}

// "RuntimeError: no" without the name; nothing for a line that begins with no such name.
std::optional<std::string> without_python_name(const std::string& line) {
  const auto colon = line.find(": ");
  if (colon == std::string::npos || line.find(' ') < colon) return std::nullopt;
  const auto name = line.substr(0, colon);
  if (!name.ends_with("Error") && !name.ends_with("Exception")) return std::nullopt;
  return name.ends_with("RuntimeError") ? line.substr(colon + 2) : line;
}

// TorchScript's interpreter shows the source, marked with HERE, perhaps with the lines that follow, and
// says below it what was wrong, as Python would: "RuntimeError: ...".
std::string script_message(const std::string& text) {
  auto begin = text.find('\n', text.rfind("<--- HERE"));
  const auto after_mark = begin;
  while (begin != std::string::npos) {
    const auto end = text.find('\n', begin + 1);
    if (auto message = without_python_name(text.substr(begin + 1, end - begin - 1)))
      return *message;
    begin = end;
  }
  return after_mark == std::string::npos ? std::string() : first_line(text.substr(after_mark));
}

// "model.py:12" of the innermost call that is shown. It is the line of the source as it was
// written, if that is there.
std::string script_line(const std::string& text) {
  const auto mark = text.rfind("<--- HERE");
  const auto file = text.rfind("File \"", mark);
  if (file == std::string::npos) return {};
  const auto here = text.substr(file, mark - file);
  const auto name = between(here, "File \"", "\"");
  const auto number = between(here, "\", line ", ",");
  return name.empty() || number.empty() ? std::string() : name + ":" + number;
}

// The line of a check in a model's own C++. Checks of LibTorch are recognised by the folder of its
// sources.
std::string cpp_line(const std::string& text) {
  const auto raised = between(text, "Exception raised from ", " (most recent call first)");
  const auto at = raised.rfind(" at ");
  if (at == std::string::npos) return {};
  const auto place = raised.substr(at + 4);
  for (const char* own :
       {"/aten/src/", "aten/src/", "/c10/", "c10/", "torch/csrc/", "/pytorch/", "torch/include/"}) {
    if (place.find(own) != std::string::npos) return {};
  }
  return place;
}

Thrown of_message(Kind kind, const std::string& what) {
  Thrown thrown;
  const bool scripted = what.find("<--- HERE") != std::string::npos;
  thrown.message = scripted ? script_message(what) : first_line(what);
  thrown.line = scripted ? script_line(what) : cpp_line(what);
  thrown.kind = kind;
  if (is_about_memory(thrown.message)) thrown.kind = Kind::memory;
  thrown.format = format_that_was_too_small(thrown.message);
  if (!thrown.format.empty()) thrown.kind = Kind::overflow;
  if (thrown.message.empty()) thrown.message = "an exception without a message";
  return thrown;
}

double largest_of(const std::string& format) {
  const double largest = inspect::largest(format);
  return format == "fp64" ? std::numeric_limits<double>::max() : largest;
}

std::string place_of(const Thrown& thrown) {
  const auto& op = thrown.called_as.empty() ? thrown.op : thrown.called_as;
  if (op.empty()) return {};
  return thrown.module.empty() ? op : thrown.module + " " + op;
}

std::string at_line(const Thrown& thrown) {
  return thrown.line.empty() ? std::string() : " (" + thrown.line + ")";
}

std::string in_pass(const Thrown& thrown) {
  return std::string(" in the ") + pass_name(thrown.pass) + " pass";
}

std::string overflow_sentence(const Thrown& thrown) {
  const double largest = largest_of(thrown.format);
  const auto range =
      thrown.format + (std::isfinite(largest) ? " (max " + inspect::shown(largest) + ")" : "");
  const bool tells = std::abs(thrown.value) > largest || std::isinf(thrown.value);
  const auto value = tells ? inspect::shown(thrown.value) : std::string("a value");
  const auto place = place_of(thrown);
  if (place.empty())
    return value + " does not fit " + range + in_pass(thrown) + ": " + thrown.message +
           at_line(thrown);
  return place + " was given " + value + ", which does not fit " + range + "," + in_pass(thrown) +
         at_line(thrown);
}

}  // namespace

Thrown thrown_of(const std::string& what) { return of_message(Kind::other, what); }

Thrown thrown_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const c10::OutOfMemoryError& thrown) {
    return of_message(Kind::memory, thrown.what());
  } catch (const std::bad_alloc& thrown) {
    return of_message(Kind::memory, thrown.what());
  } catch (const std::exception& thrown) {
    return of_message(Kind::other, thrown.what());
  } catch (const std::string& thrown) {
    return of_message(Kind::other, thrown);
  } catch (const char* thrown) {
    return of_message(Kind::other, thrown == nullptr ? "" : thrown);
  } catch (const int thrown) {
    return of_message(Kind::other, "the number " + std::to_string(thrown) + " was thrown");
  } catch (...) {
    return of_message(Kind::other, "what was thrown is no std::exception");
  }
}

std::string sentence_of(const Thrown& thrown) {
  if (thrown.kind == Kind::overflow) return overflow_sentence(thrown);
  auto who = place_of(thrown);
  if (who.empty()) who = "the model";
  const auto what = thrown.kind == Kind::memory ? " ran out of memory" : " threw";
  const auto after = thrown.after.empty() ? "" : ", after " + thrown.after;
  return who + what + in_pass(thrown) + after + ": " + thrown.message + at_line(thrown);
}

std::string remedy_of(const Thrown& thrown) {
  switch (thrown.kind) {
    case Kind::overflow:
      if (thrown.format == "fp16")
        return "keep this op in fp32 or use bf16, or take a value that fits, such as -inf for a "
               "mask";
      if (std::isfinite(largest_of(thrown.format)))
        return "keep this op in a wider format, or take a value that fits, such as -inf for a mask";
      return "take a value that " + thrown.format + " can hold";
    case Kind::memory:
      return "take smaller batches and accumulate more of them, or a smaller model";
    case Kind::other:
      break;
  }
  return "mend the model where it throws this";
}

}  // namespace amp
