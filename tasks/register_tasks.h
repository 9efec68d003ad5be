// The tasks that come with the program.
#pragma once

namespace ampersand {

// Puts them into the registry (amp/task.h), once: images, text, translation and speech.
void register_tasks();

}  // namespace ampersand
