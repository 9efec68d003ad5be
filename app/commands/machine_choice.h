// The machine that a command computes on: device, threads, engine.
#pragma once

#include <cstdint>
#include <string>

namespace ampersand {

// Throws unless the device is there; needed before anything computes on it.
void check_device(const std::string& device);

// Sets the CPU threads; 0: one per core.
void set_threads(std::int64_t threads);

// Sets the engine of fp32 products on the CPU: stock or fastest. Throws amp::InvalidArgument for another name.
void set_fp32_engine(const std::string& name);

}  // namespace ampersand
