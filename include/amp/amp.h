// Ampersand: automatic mixed-precision training for C++ on LibTorch. This is the list to read
// first.
#pragma once

#include "amp/autocast.h"  // Autocast: the region that computes in low precision
#include "amp/checkpoint.h"
#include "amp/cpu_math.h"        // how products are computed on the CPU
#include "amp/error.h"           // what is thrown
#include "amp/grad_scaler.h"     // GradScaler: loss scaling
#include "amp/model_registry.h"  // models by name, for plug-ins
#include "amp/recipe.h"          // Recipe: fp32, bf16, fp16
#include "amp/scaler_state.h"    // a scaler's state as a file, for Python and from Apex, DeepSpeed
#include "amp/train_step.h"      // TrainStep: the whole step as one call
#include "amp/version.h"         // version()
