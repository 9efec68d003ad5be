// Names of ops.
#include "src/op_policy/op_names.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>

#include "amp/error.h"
#include "src/op_policy/table.h"
#include "src/op_policy/user_names.h"
#include "src/text/suggest.h"

namespace amp::op_policy {
namespace {

std::string full(const std::string& base, const std::string& overload) {
  return overload.empty() ? base : base + "." + overload;
}

std::vector<std::string> known_bases() {
  std::vector<std::string> bases;
  for (const auto& op : kListed) bases.push_back(parsed(op.name).base);
  for (const auto& name : user_names()) bases.emplace_back(name.name);
  std::ranges::sort(bases);
  bases.erase(std::ranges::unique(bases).begin(), bases.end());
  return bases;
}

bool stands_for(const Name& name, const std::string& op) {
  const auto other = parsed(op);
  return other.base == name.base && (!name.has_overload || other.overload == name.overload);
}

}  // namespace

Name parsed(std::string text) {
  if (text.starts_with("aten::")) text.erase(0, 6);
  const auto dot = text.find('.', text.find("::") == std::string::npos ? 0 : text.find("::"));
  if (dot == std::string::npos) return {text, "", false};
  const auto overload = text.substr(dot + 1);
  return {text.substr(0, dot), overload == "default" ? "" : overload, true};
}

std::string qualified(const std::string& base) {
  return base.find("::") == std::string::npos ? "aten::" + base : base;
}

void refuse_unknown(const std::string& op) {
  auto near = text::suggestion(parsed(op).base, known_bases());
  if (near.size() > 100) near = "; OpPolicy::ops() lists those that torch's autocast knows";
  throw InvalidArgument("OpPolicy: there is no op '" + op + "'" + near);
}

std::vector<std::size_t> listed(const Name& name) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < kOps; ++i) {
    if (stands_for(name, kListed[i].name)) found.push_back(i);
  }
  return found;
}

std::vector<std::string> unlisted(const Name& name, Writes writes) {
  std::vector<std::string> found;
  const auto wanted = qualified(name.base);
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& op : dispatcher.getAllOpNames()) {
    if (op.name != wanted || (name.has_overload && op.overload_name != name.overload)) continue;
    const auto schema = dispatcher.findSchema(op);
    if (schema.has_value() && schema->schema().is_mutable() == (writes == Writes::an_argument))
      found.push_back(full(name.base, op.overload_name));
  }
  std::ranges::sort(found);
  return found;
}

bool takes_dtype(const std::string& op) {
  const auto name = parsed(op);
  const auto schema =
      c10::Dispatcher::singleton().findSchema({qualified(name.base), name.overload});
  if (!schema.has_value()) return false;
  return std::ranges::any_of(schema->schema().arguments(),
                             [](const auto& argument) { return argument.name() == "dtype"; });
}

std::string full_name(const std::string& name, const std::string& overload) {
  return full(name.starts_with("aten::") ? name.substr(6) : name, overload);
}

std::string op_name(std::size_t number) {
  const auto name = parsed(kListed[number].name);
  const bool alone = listed({name.base, "", false}).size() == 1;
  return name.overload.empty() && !alone ? name.base + ".default" : kListed[number].name;
}

}  // namespace amp::op_policy
