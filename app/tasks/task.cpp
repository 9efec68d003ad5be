// What is learned.
#include "app/tasks/task.h"

#include "amp/error.h"

namespace ampersand {

std::string Task::continued(Model&, const amp::Recipe&, const Continuation&) const {
  throw amp::InvalidArgument("--prompt is for models of text, and this one was trained on " +
                             noun() + "; leave it out");
}

}  // namespace ampersand
