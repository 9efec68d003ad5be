// The IDX reader: what it accepts, and one test for each way a file can be wrong.
#include "tasks/images/idx.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/tasks/images/idx_files.h"

namespace ampersand::tests::idx_test {
namespace {

using Shape = std::vector<std::uint32_t>;

// {{1, 2, 3}, {4, 5, 255}} as Python's gzip.compress(..., mtime=0) writes it.
const Bytes kPythonGzip = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60,
                           0xe0, 0x60, 0x62, 0x60, 0x60, 0x00, 0x61, 0x66, 0x46, 0x26, 0x66, 0x16,
                           0xd6, 0xff, 0x00, 0xf0, 0xde, 0x5f, 0x21, 0x12, 0x00, 0x00, 0x00};

// Values that deflate cannot shorten.
Bytes noise(std::size_t count) {
  Bytes bytes(count);
  std::uint32_t state = 1;
  for (auto& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

class IdxTest : public ::testing::Test {
 protected:
  IdxArray read(const Bytes& bytes) const { return read_idx(folder_.write("data", bytes)); }

  // The message for a file of `bytes`, without the path it must begin with.
  std::string refusal(const Bytes& bytes) const {
    const auto path = folder_.write("data", bytes);
    return without_path(path, error_of([&] { read_idx(path); }));
  }

  static std::string without_path(const std::filesystem::path& path, const std::string& message) {
    const std::string start = path.string() + ": ";
    EXPECT_EQ(message.substr(0, start.size()), start);
    EXPECT_EQ(message.find('\n'), std::string::npos);
    return message.size() < start.size() ? message : message.substr(start.size());
  }

  TemporaryFolder folder_;
};

// A header may promise gigabytes in a hundred bytes; the peak of resident memory shows that
// nobody believed it. The first test of the file, since a peak that is reached once hides the next.
TEST_F(IdxTest, DoesNotAllocateWhatAHeaderPromises) {
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const Bytes hundred(100, 1);
  const Bytes four_gb = idx_bytes({0xffffffff}, hundred);
  const Bytes two_to_62 = idx_bytes({0x80000000, 0x80000000}, hundred);
  for (const Bytes& bytes : {four_gb, gzip_bytes(four_gb)}) {
    EXPECT_EQ(refusal(bytes),
              "header promises 4294967295 = 4294967295 values, but the file holds 100; fetch the "
              "file again");
  }
  for (const Bytes& bytes : {two_to_62, gzip_bytes(two_to_62)}) {
    EXPECT_EQ(refusal(bytes),
              "header promises 2147483648 x 2147483648 = 4611686018427387904 values, but the file "
              "holds 100; fetch the file again");
  }
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024);  // KiB
}

TEST_F(IdxTest, ReadsOneToFourDimensions) {
  const Bytes values = {0, 1, 2, 128, 254, 255};
  for (const Shape& shape : {Shape{6}, Shape{2, 3}, Shape{3, 1, 2}, Shape{1, 2, 1, 3}}) {
    const IdxArray array = read(idx_bytes(shape, values));
    EXPECT_EQ(array.shape, shape);
    EXPECT_EQ(array.values, values);
  }
}

TEST_F(IdxTest, ReadsWhatPythonPacked) {
  const IdxArray array = read(kPythonGzip);
  EXPECT_EQ(array.shape, (Shape{2, 3}));
  EXPECT_EQ(array.values, (Bytes{1, 2, 3, 4, 5, 255}));
}

TEST_F(IdxTest, ReadsAnEmptyArray) {
  for (const Shape& shape : {Shape{0}, Shape{0xffffffff, 0xffffffff, 0xffffffff, 0}}) {
    for (const Bytes& bytes : {idx_bytes(shape, {}), gzip_bytes(idx_bytes(shape, {}))}) {
      const IdxArray array = read(bytes);
      EXPECT_EQ(array.shape, shape);
      EXPECT_TRUE(array.values.empty());
    }
  }
}

TEST_F(IdxTest, ReadsMoreThanOneBlock) {
  const Shape shape = {3, 1024, 1025};
  const Bytes values = noise(3 * 1024 * 1025);
  const Bytes plain = idx_bytes(shape, values);
  EXPECT_EQ(read(plain).values, values);
  EXPECT_EQ(read(gzip_bytes(plain)).values, values);
}

TEST_F(IdxTest, TheContentDecidesNotTheName) {
  const Bytes plain = idx_bytes({2}, {7, 8});
  EXPECT_EQ(read_idx(folder_.write("plain.gz", plain)).values, (Bytes{7, 8}));
  EXPECT_EQ(read_idx(folder_.write("packed", gzip_bytes(plain))).values, (Bytes{7, 8}));
}

TEST_F(IdxTest, ReadsGzipOfSeveralMembers) {
  const Bytes plain = idx_bytes({4}, {5, 6, 7, 8});
  const Bytes head(plain.begin(), plain.begin() + 3);
  const Bytes rest(plain.begin() + 3, plain.end());
  const Bytes packed = joined(joined(gzip_bytes(head), gzip_bytes({})), gzip_bytes(rest));
  EXPECT_EQ(read(packed).values, (Bytes{5, 6, 7, 8}));
}

// The reader takes 65536 bytes at a time: a member's two magic bytes may lie on both sides.
TEST_F(IdxTest, ReadsGzipMembersAroundTheBufferEdge) {
  for (const std::size_t edge : {65534U, 65535U, 65536U, 65537U}) {
    std::uint32_t count = 65400;
    Bytes first;
    while (first.size() < edge) {
      ++count;
      first = gzip_bytes(idx_bytes({count + 1}, noise(count)));
    }
    ASSERT_EQ(first.size(), edge);
    Bytes values = noise(count);
    values.push_back(42);
    EXPECT_EQ(read(joined(first, gzip_bytes({42}))).values, values) << edge;
    EXPECT_EQ(refusal(joined(first, {0x1f, 0x8c})), "gzip stream ends at byte " +
                                                        std::to_string(edge) +
                                                        " but the file goes on; remove what "
                                                        "follows");
  }
}

TEST_F(IdxTest, RefusesWhatIsNoReadableFile) {
  const auto missing = folder_.path() / "missing";
  EXPECT_EQ(without_path(missing, error_of([&] { read_idx(missing); })), "no such file");
  const auto inside_a_file = folder_.write("file", {}) / "inside";
  EXPECT_EQ(without_path(inside_a_file, error_of([&] { read_idx(inside_a_file); })),
            "no such file: Not a directory");
  const auto dangling = folder_.path() / "dangling";
  std::filesystem::create_symlink("nowhere", dangling);
  EXPECT_EQ(without_path(dangling, error_of([&] { read_idx(dangling); })),
            "a link to nowhere, where nothing is");
  EXPECT_EQ(without_path(folder_.path(), error_of([&] { read_idx(folder_.path()); })),
            "a folder, and not a file");
  const auto pipe = folder_.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(without_path(pipe, error_of([&] { read_idx(pipe); })), "not a regular file");
  const auto loop = folder_.path() / "loop";
  std::filesystem::create_symlink(loop, loop);
  EXPECT_EQ(without_path(loop, error_of([&] { read_idx(loop); })),
            "cannot be examined: Too many levels of symbolic links");
  // A regular file, by its type, whose first page nobody can read.
  const std::filesystem::path memory = "/proc/self/mem";
  EXPECT_EQ(without_path(memory, error_of([&] { read_idx(memory); })),
            "cannot be read: Input/output error");
}

TEST_F(IdxTest, RefusesAnotherFormat) {
  EXPECT_EQ(refusal({0x89, 'P', 'N', 'G', 0, 0, 0, 0}),
            "not an IDX file: its first two bytes must be zero, got 0x89 0x50; give an IDX file");
  EXPECT_EQ(refusal(gzip_bytes({0, 1, 8, 1, 0, 0, 0, 0})),
            "not an IDX file: its first two bytes must be zero, got 0x00 0x01; give an IDX file");
}

TEST_F(IdxTest, RefusesOtherElementTypes) {
  for (const int type : {0x00, 0x07, 0x09, 0x0b, 0x0c, 0x0d, 0x0e, 0xff}) {
    EXPECT_NE(refusal({0, 0, static_cast<std::uint8_t>(type), 1, 0, 0, 0, 0})
                  .find("IDX element type must be 0x08 (unsigned byte), got 0x"),
              std::string::npos);
  }
}

TEST_F(IdxTest, RefusesOtherNumbersOfDimensions) {
  EXPECT_EQ(refusal({0, 0, 8, 0, 1}),
            "IDX number of dimensions must be 1 to 4, got 0; convert the file");
  EXPECT_EQ(refusal(idx_bytes({1, 1, 1, 1, 1}, {9})),
            "IDX number of dimensions must be 1 to 4, got 5; convert the file");
  EXPECT_EQ(refusal({0, 0, 8, 255}),
            "IDX number of dimensions must be 1 to 4, got 255; convert the file");
}

TEST_F(IdxTest, RefusesEveryTruncationOfAPlainFile) {
  const Bytes whole = idx_bytes({2, 3}, {1, 2, 3, 4, 5, 255});
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string message =
        refusal(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
    const std::string held = std::to_string(length < 4 ? length : length - 12);
    const std::string expected =
        length < 4    ? "an IDX file begins with a header of at least 8 bytes, but it holds " + held
        : length < 12 ? "ends inside the sizes of its 2 dimensions"
                      : "header promises 2 x 3 = 6 values, but the file holds " + held;
    EXPECT_EQ(message, expected + "; fetch the file again") << length;
  }
}

TEST_F(IdxTest, RefusesEveryTruncationOfAGzipFile) {
  const Bytes noisy = gzip_bytes(idx_bytes({300}, noise(300)));
  const Bytes even = gzip_bytes(idx_bytes({50, 50}, Bytes(2500, 3)));
  for (const Bytes& whole : {kPythonGzip, noisy, even}) {
    for (std::size_t length = 2; length < whole.size(); ++length) {
      EXPECT_EQ(
          refusal(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))),
          "truncated gzip stream after " + std::to_string(length) + " bytes; fetch the file again");
    }
  }
  EXPECT_EQ(refusal({0x1f}),
            "an IDX file begins with a header of at least 8 bytes, but it holds 1; fetch the file "
            "again");
}

// Every other value of every byte of a fixed deflate block; single bits and all bits of a dynamic
// one.
TEST_F(IdxTest, NeverReadsOtherValuesFromADamagedGzipFile) {
  Bytes every_flip;
  for (int flip = 1; flip < 256; ++flip) every_flip.push_back(static_cast<std::uint8_t>(flip));
  Bytes five_values = noise(400);
  for (auto& value : five_values) value = static_cast<std::uint8_t>(value % 5 * 60);
  const Bytes dynamic = gzip_bytes(idx_bytes({20, 20}, five_values));
  ASSERT_EQ(kPythonGzip[10] >> 1 & 3, 1);  // the block types, after a header of 10 bytes
  ASSERT_EQ(dynamic[10] >> 1 & 3, 2);
  const std::pair<Bytes, Bytes> cases[] = {{kPythonGzip, every_flip},
                                           {dynamic, {1, 2, 4, 8, 16, 32, 64, 128, 255}}};
  for (const auto& [whole, flips] : cases) {
    const IdxArray expected = read(whole);
    for (std::size_t position = 0; position < whole.size(); ++position) {
      for (const std::uint8_t flip : flips) {
        Bytes damaged = whole;
        damaged[position] ^= flip;
        try {
          const IdxArray array = read(damaged);
          EXPECT_EQ(array.shape, expected.shape) << position << " ^ " << int{flip};
          EXPECT_EQ(array.values, expected.values) << position << " ^ " << int{flip};
        } catch (const amp::IoError&) {  // the other accepted end; anything else fails the test
        }
      }
    }
  }
}

TEST_F(IdxTest, TellsGzipDamageApart) {
  Bytes damaged = kPythonGzip;
  damaged[27] ^= 1;
  EXPECT_EQ(refusal(damaged),
            "gzip checksum (CRC-32) does not match at byte 31 (incorrect data check); fetch the "
            "file again");
  damaged = kPythonGzip;
  damaged[31] ^= 1;
  EXPECT_EQ(refusal(damaged),
            "gzip length does not match at byte 35 (incorrect length check); fetch the file again");
  damaged = kPythonGzip;
  damaged[10] |= 6;  // deflate block type 3 does not exist
  EXPECT_EQ(refusal(damaged),
            "corrupt gzip stream near byte 11 (invalid block type); fetch the file again");
}

TEST_F(IdxTest, RefusesWhatFollowsAGzipStream) {
  for (const Bytes& tail : {Bytes{0x1f}, Bytes{0x1f, 0x1f}, Bytes{'a', 'b', 'c'}, Bytes{0, 0, 'a'},
                            Bytes{0, 0x1f, 0x8b}}) {
    EXPECT_EQ(refusal(joined(kPythonGzip, tail)),
              "gzip stream ends at byte 35 but the file goes on; remove what follows");
  }
  for (const std::size_t zeros : {1u, 512u, 200'000u})
    EXPECT_EQ(read(joined(kPythonGzip, Bytes(zeros, 0))).values, (Bytes{1, 2, 3, 4, 5, 255}));
  // Another member is part of the stream, and so holds values too many.
  EXPECT_EQ(refusal(joined(kPythonGzip, gzip_bytes({1}))),
            "header promises 2 x 3 = 6 values, but the file holds more; fetch the file again");
  EXPECT_EQ(refusal(joined(kPythonGzip, {0x1f, 0x8b, 8})),
            "truncated gzip stream after 38 bytes; fetch the file again");
}

TEST_F(IdxTest, RefusesMoreValuesThanPromised) {
  const Bytes plain = idx_bytes({2, 2}, {1, 2, 3, 4, 5});
  for (const Bytes& bytes : {plain, gzip_bytes(plain)}) {
    EXPECT_EQ(refusal(bytes),
              "header promises 2 x 2 = 4 values, but the file holds more; fetch the file again");
  }
}

TEST_F(IdxTest, RefusesSizesWhoseProductOverflows) {
  const std::uint32_t most = 0xffffffff;
  // 2^64 would wrap to 0, and 3 x 2^63 to 2^63.
  for (const Shape& shape : {Shape{most, most, most, most}, Shape{0x80000000, 0x80000000, 4},
                             Shape{0x80000000, 2, 0x80000000, 3}}) {
    EXPECT_NE(refusal(idx_bytes(shape, {1})).find("values, more than any file holds; fetch"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace ampersand::tests::idx_test
