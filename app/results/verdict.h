// What the summary says, in sentences.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "app/results/measures.h"

namespace ampersand {

// What became of each precision, a sentence or two each, made from the summary. measure: the one that it compares by;
// none: perplexity where the summary says so, else accuracy. Runs without fp32 say
// only what diverged or failed.
nlohmann::json verdict(const nlohmann::json& summary, const nlohmann::json& runs,
                       const std::optional<amp::Measure>& measure = {});

// What to take from the comparison in one sentence: which precision to use and what it saves. Null where
// nothing was compared with fp32.
//
// The precision is one whose verdict is equal or better, or else unknown, that never diverged or failed and is
// faster than fp32 or keeps less: of several the first, or one with more speed for its activation memory, by a fifth at least. Emulated
// formats save nothing. fp16 without loss scaling is left out: that it went well here says nothing of the
// next training.
nlohmann::json takeaway(const nlohmann::json& summary);

}  // namespace ampersand
