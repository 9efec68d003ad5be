// Loss scalers' states as files: exchange with Python, and reading what Apex and DeepSpeed wrote.
#pragma once

#include <filesystem>
#include <vector>

#include "amp/export.h"
#include "amp/grad_scaler.h"

namespace amp {

// Writes a file that Python reads with torch.load(path, weights_only=True) and takes with
// scaler.load_state_dict: a plain dict of torch's five fields, then hysteresis_left and
// consecutive_skips, which torch passes over. A disabled scaler's empty state is {}. The file is
// written whole or not at all.
//
// Throws InvalidArgument for values no scaler can have, and IoError.
AMP_API void save_state(const GradScalerState& state, const std::filesystem::path& path);

// Reads what save_state wrote, or Python's torch.save(scaler.state_dict(), path), also with
// _use_new_zipfile_serialization=False. An int may stand where a float is expected. Without
// hysteresis_left the next overflow backs off (as with 1), as in torch. Other fields are passed
// over.
//
// The file need not be trusted: nothing in it is run, and everything but plain data is refused. A
// checkpoint that holds the state among tensors is refused; save the state alone.
//
// Throws IoError, here and below, for a file that cannot be read, is cut short, is damaged or is
// something else; for a file that lacks a field, has it twice or has it of another type; and for
// values that no scaler can have.
AMP_API GradScalerState load_state(const std::filesystem::path& path);

// Reads what torch.save(amp.state_dict(), path) wrote with NVIDIA's Apex: a state for each loss, in
// their order. The factors 2 and 0.5 and the interval 2000 are Apex's constants; its rails are not
// in the file (by default max_scale = 2^24).
//
// Apex does not say whether its scale was fixed. A fixed scale is taken for a dynamic one if it was
// saved before its 2000th step, and is refused after.
// Source: apex/amp/frontend.py and scaler.py, before Apex removed them in May 2025.
AMP_API std::vector<GradScalerState> load_apex_state(const std::filesystem::path& path);

// Reads the plain fields of DeepSpeed's fp16 optimizer, which has tensors beside them, or of the
// loss scaler object of its ZeRO optimizers. In Python:
//
//   fields = optimizer.state_dict()            # FP16_Optimizer, FP16_UnfusedOptimizer
//   fields = vars(optimizer.loss_scaler)       # ZeRO stages 1 to 3
//   torch.save({k: v for k, v in fields.items() if isinstance(v, (bool, int, float))}, path)
//
// The scale grows at the step at which DeepSpeed's would have, with one exception: right after an
// overflow DeepSpeed waits scale_window + 1 clean steps, and this scaler growth_interval =
// scale_window. min_loss_scale is not taken over; it is a rail, GradScalerOptions::min_scale. A
// fixed loss scale is refused: it needs no scaler (LossScaling::fixed).
// Source: deepspeed/runtime/fp16/{loss_scaler,fused_optimizer,unfused_optimizer}.py, 0.17.1 to
// 0.19.5; before, ZeRO's scaler grew one step earlier.
AMP_API GradScalerState load_deepspeed_state(const std::filesystem::path& path);

}  // namespace amp
