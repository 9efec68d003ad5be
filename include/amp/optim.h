// Optimizers that unscale, clip, update fp32 weights and round copies in one pass over memory.
#pragma once

#include "amp/optim/adam.h"
#include "amp/optim/fused_optimizer.h"
#include "amp/optim/lamb.h"
#include "amp/optim/memory.h"
#include "amp/optim/scaled_step.h"
#include "amp/optim/sgd.h"
