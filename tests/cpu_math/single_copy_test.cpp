// A second copy of libamp in one process registers nothing, and says so when it is used.
#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "amp/error.h"
#include "tests/cpu_math/reference.h"

namespace cpu_math_test::single_copy_test {
namespace {

// amp::set_cpu_half_math(bool) and amp::cpu_half_math(), as the compiler names them.
constexpr const char* kSetHalfMath = "_ZN3amp17set_cpu_half_mathEb";
constexpr const char* kHalfMath = "_ZN3amp13cpu_half_mathEv";

std::filesystem::path path_of_libamp() {
  Dl_info info{};
  return dladdr(dlsym(RTLD_DEFAULT, kSetHalfMath), &info) != 0 ? info.dli_fname : "";
}

// libamp.so under another name, loaded; the file is gone again when this returns.
void* load_copy() {
  const auto file =
      std::filesystem::temp_directory_path() / ("libamp_copy_" + std::to_string(getpid()) + ".so");
  std::filesystem::copy_file(path_of_libamp(), file,
                             std::filesystem::copy_options::overwrite_existing);
  void* copy = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  std::filesystem::remove(file);
  return copy;
}

TEST(SingleCopy, TheSecondIsRefusedByName) {
  const HalfMath on(true);
  const auto a = matrix(20, 30), b = matrix(30, 10);
  const auto before = at::mm(a, b);

  void* copy = load_copy();
  ASSERT_NE(copy, nullptr) << dlerror();
  const auto set_half_math = reinterpret_cast<void (*)(bool)>(dlsym(copy, kSetHalfMath));
  const auto half_math = reinterpret_cast<bool (*)()>(dlsym(copy, kHalfMath));
  ASSERT_NE(set_half_math, nullptr);
  ASSERT_NE(set_half_math, &amp::set_cpu_half_math);
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      set_half_math(false);
      ADD_FAILURE() << "the second copy was taken";
    } catch (const amp::StateError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find("two copies of libamp"), std::string::npos) << message;
      EXPECT_NE(message.find("link one"), std::string::npos) << message;
    }
  }
  EXPECT_THROW(half_math(), amp::StateError);

  // The first copy goes on as before.
  EXPECT_TRUE(amp::cpu_half_math());
  expect_identical(at::mm(a, b), before);
}

}  // namespace
}  // namespace cpu_math_test::single_copy_test
