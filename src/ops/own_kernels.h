// All ops that Ampersand computes itself or treats otherwise than by a cast: a line for each file.
#pragma once

#include "src/ops/attention_module.h"
#include "src/ops/cross_entropy.h"
#include "src/ops/embedding.h"
#include "src/ops/lstm.h"
#include "src/ops/norm.h"
#include "src/ops/recurrent_ops.h"
#include "src/ops/softmax.h"
