// The tasks that come with the program.
#include "tasks/register_tasks.h"

#include "tasks/images/image_task.h"
#include "tasks/speech/speech_task.h"
#include "tasks/text/text_task.h"
#include "tasks/translation/translation_task.h"

namespace ampersand {

void register_tasks() {
  static const bool once = [] {
    for (auto info :
         {image_task_info(), text_task_info(), translation_task_info(), speech_task_info()})
      amp::register_task(std::move(info));
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace ampersand
