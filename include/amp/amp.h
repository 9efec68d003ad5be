// Ampersand: automatic mixed-precision training for C++ on LibTorch. This is the list to read
// first.
#pragma once

#include "amp/apex.h"             // initialize and scale_loss, for those who come from Apex
#include "amp/autocast.h"         // Autocast: the region that computes in low precision
#include "amp/cast_log.h"         // CastLog: what autocast did, op by op
#include "amp/checkpoint.h"       // saving and restoring a training, weights in and out
#include "amp/cpu_math.h"         // how products are computed on the CPU
#include "amp/custom_function.h"  // autocast in a torch::autograd::Function of your own
#include "amp/doctor.h"           // Doctor: what is wrong, by experiments on the training
#include "amp/error.h"            // what is thrown
#include "amp/experiment.h"       // Experiment: a step played again in another way
#include "amp/grad_scaler.h"      // GradScaler: loss scaling
#include "amp/inspect.h"          // Inspector: what overflows or goes non-finite first, and why
#include "amp/measure.h"          // what tells how good a model is
#include "amp/model_registry.h"   // models by name, for plug-ins
#include "amp/module_holder.h"    // what a model can be passed in
#include "amp/module_scope.h"     // ModuleScope: whose ops these are
#include "amp/op_policy.h"        // OpPolicy: which op runs in which precision
#include "amp/optim.h"            // SGD, Adam, AdamW, Lamb: fused, with fp32 masters
#include "amp/precision.h"      // the number formats: rounding to them, what they lose, fp8 scales
#include "amp/recipe.h"         // Recipe: fp32, bf16, fp16
#include "amp/scaler_state.h"   // a scaler's state as a file, for Python and from Apex, DeepSpeed
#include "amp/task.h"           // Task: data, loss and measure of the program, or of your own
#include "amp/train_step.h"     // TrainStep: the whole step as one call
#include "amp/version.h"        // version()
#include "amp/weight_checks.h"  // how a weight that was changed behind its copy is found out
