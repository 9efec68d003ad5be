// Sound files and what is said in them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ampersand {

struct Recording {
  std::filesystem::path sound;       // a WAV file
  std::filesystem::path transcript;  // the file that `text` is from
  std::string text;                  // UTF-8, not empty
};

// The recordings that `what` names, by name:
//   spoken-digits   synthesised (tasks/speech/spoken_digits.h)
//   FOLDER          NAME.wav files, each with its text in NAME.txt; or, where the folder has a
//                   transcripts.tsv, those that it lists, a line each: "NAME.wav<TAB>text"
// White space around a text and line ends in it count as single spaces.
//
// Throws amp::IoError for a folder that is missing or holds no recordings, a transcript that is
// missing, empty or no UTF-8, a line of transcripts.tsv that is no pair, and a sound that is missing.
std::vector<Recording> find_recordings(const std::string& what);

// Whether `what` is spoken-digits or a folder with WAV files or a transcripts.tsv in it.
bool names_recordings(const std::string& what);

}  // namespace ampersand
