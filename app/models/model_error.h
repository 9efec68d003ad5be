// What a model threw, and where.
#pragma once

#include <exception>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "amp/error.h"
#include "amp/inspect/thrown.h"

namespace ampersand {

class Model;

// An exception of the model's own code, of its plug-in, of its TorchScript or of an op that it called. The
// message is one line with op, module and source line, as far as they are known, and a remedy.
class ModelError : public std::runtime_error {
 public:
  // cause: the exception itself. phase: "while it was made"; empty: the pass that `thrown` says.
  ModelError(const std::string& model, amp::Thrown thrown, std::exception_ptr cause,
             const std::string& phase = "");

  // Of a member of somebody's task: "task houses: evaluate threw: ...".
  static ModelError of_task(const std::string& task, const std::string& member, amp::Thrown thrown,
                            std::exception_ptr cause);

  // The same, with words before it: "training in fp16 failed at step 3: ".
  ModelError in_context(const std::string& words) const;

  const amp::Thrown& thrown() const { return thrown_; }
  const std::exception_ptr& cause() const { return cause_; }
  // A value did not fit its format.
  bool is_overflow() const { return thrown_.kind == amp::Thrown::Kind::overflow; }

 private:
  ModelError(const std::string& message, const ModelError& other)
      : std::runtime_error(message), thrown_(other.thrown_), cause_(other.cause_) {}
  struct Whole {};  // the message is whole
  ModelError(Whole, const std::string& message, amp::Thrown thrown, std::exception_ptr cause)
      : std::runtime_error(message), thrown_(std::move(thrown)), cause_(std::move(cause)) {}

  amp::Thrown thrown_;
  std::exception_ptr cause_;
};

// The program's own word on what a model returned: no exception of the model's.
class WrongResult : public amp::InvalidArgument {
 public:
  using amp::InvalidArgument::InvalidArgument;
};

// Does the work `again` under an Inspector, to learn which op of which module it was that threw before;
// returns `before` where it does not throw the same again, and where nothing can be learned. model: null
// where there is none yet.
amp::Thrown located(Model* model, const amp::Thrown& before, const std::function<void()>& again);

// While one lives, what a model throws on this thread is not sought by calling the model once more: an
// Inspector watches already.
class NoSearch {
 public:
  NoSearch() { ++count_; }
  ~NoSearch() { --count_; }
  NoSearch(const NoSearch&) = delete;
  NoSearch& operator=(const NoSearch&) = delete;
  static bool is_none() { return count_ == 0; }

 private:
  static inline thread_local int count_ = 0;
};

// {"kind", "message", "pass", "op", "module", "line", "format"}; null for what is not known.
nlohmann::json thrown_json(const amp::Thrown& thrown);

}  // namespace ampersand
