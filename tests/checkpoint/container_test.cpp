// Checkpoints: written, opened, replaced, pruned, and every damage noticed.
#include "src/checkpoint/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <random>

#include "src/checkpoint/manifest.h"
#include "src/checkpoint/step_folders.h"
#include "src/files/hash.h"
#include "src/files/temporary_name.h"
#include "tests/app/errors.h"
#include "tests/checkpoint/parts.h"
#include "tests/support/temporary_folder.h"

namespace amp::checkpoint::tests::container_test {
namespace {

using files::hash_of;
using files::Sink;
using files::temporary_name;

namespace fs = std::filesystem;
using ampersand::tests::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Container : public testing::Test {
 protected:
  std::string refusal(const fs::path& checkpoint) {
    return error_of([&] { open_checkpoint(checkpoint); });
  }
  // Writes the manifest again with a true hash, as somebody who forges one would.
  void forge(const fs::path& checkpoint, const std::string& body) {
    put(checkpoint / kManifestName, body + "xxh3_128:" + hash_of(body) + "\n");
  }

  ampersand::tests::TemporaryFolder folder_;
  fs::path parent_ = folder_.path() / "checkpoints";
};

TEST_F(Container, GivesBackWhatWasWritten) {
  const nlohmann::json about = {{"seed", 7}, {"lr", 0.1}, {"name", "\xc3\xa4"}};
  const fs::path path = write_checkpoint(parent_, 123, parts_of(123), about);
  EXPECT_EQ(path, parent_ / "step-000000123");
  EXPECT_THAT(names_in(path), ElementsAre("empty.bin", "manifest.json", "model.bin"));
  const auto stored = open_checkpoint(path);
  EXPECT_EQ(stored.step(), 123);
  EXPECT_EQ(stored.about(), about);
  EXPECT_EQ(stored.path(), path);
  EXPECT_THAT(stored.parts(), ElementsAre("empty.bin", "model.bin"));
  EXPECT_TRUE(content_of(stored.part_path("model.bin")).starts_with("123:"));
  EXPECT_EQ(content_of(stored.part_path("model.bin")).size(), 600U);
  EXPECT_EQ(error_of([&] { stored.part_path("optimizer.bin"); }),
            path.string() + ": has no part \"optimizer.bin\"; use a checkpoint that has it");
}

// The digest of the empty input, from the XXH3 reference (`xxhsum -H128 /dev/null`).
TEST_F(Container, TheManifestIsAsDocumented) {
  write_checkpoint(parent_, 5, std::vector{part("a", "")}, {{"x", 1}});
  const std::string text = content_of(parent_ / "step-000000005" / kManifestName);
  const std::string body =
      R"({"format":"ampersand checkpoint","version":1,"step":5,"about":{"x":1},"parts":{"a":)"
      R"({"bytes":0,"xxh3_128":"99aa06d3014798d86001c324468d497f"}}})";
  EXPECT_EQ(text, body + "\nxxh3_128:" + hash_of(body + "\n") + "\n");
}

TEST_F(Container, RefusesMisuse) {
  const auto refused = [&](std::int64_t step, const std::vector<Part>& parts,
                           const nlohmann::json& about, int keep) {
    const auto message =
        error_of<InvalidArgument>([&] { write_checkpoint(parent_, step, parts, about, keep); });
    EXPECT_THAT(step_folders(parent_), IsEmpty());
    if (fs::exists(parent_)) {
      EXPECT_THAT(names_in(parent_), IsEmpty());
    }
    return message;
  };
  EXPECT_EQ(refused(-1, {}, {}, 2), "write_checkpoint: step must be >= 0, got -1");
  EXPECT_EQ(refused(1, {}, {}, 0), "write_checkpoint: keep must be >= 1, got 0");
  for (const char* name : {"", ".", "..", "a/b", "../a", ".hidden", "manifest.json", "a\n"}) {
    EXPECT_THAT(refused(1, {part(name, "")}, {}, 2), HasSubstr("a part's name must be"));
  }
  EXPECT_THAT(refused(1, {part("a", ""), part("a", "")}, {}, 2), HasSubstr("got \"a\" twice"));
  EXPECT_THAT(refused(1, {Part{"a", {}}}, {}, 2), HasSubstr("has no write function"));
  EXPECT_THAT(refused(1, {}, {{"loss", std::nan("")}}, 2), HasSubstr("no NaN"));
  EXPECT_THAT(refused(1, {}, {{"name", "\xff"}}, 2), HasSubstr("UTF-8"));
  nlohmann::json deep;
  for (int level = 0; level < 100; ++level) deep = nlohmann::json::array({deep});
  EXPECT_THAT(refused(1, {}, deep, 2), HasSubstr("at most 63 levels"));
}

TEST_F(Container, EveryFlippedBitIsNoticed) {
  const fs::path path = write(parent_, 1);
  std::mt19937 random(2);
  for (int round = 0; round < 1000; ++round) {
    const fs::path file = path / (random() % 2 == 0 ? "model.bin" : kManifestName);
    const std::string whole = content_of(file);
    std::string damaged = whole;
    char& byte = damaged[random() % damaged.size()];
    byte = static_cast<char>(byte ^ (1 << random() % 8));
    put(file, damaged);
    const std::string message = refusal(path);
    EXPECT_THAT(message, HasSubstr("use another checkpoint"));
    EXPECT_EQ(message.find('\n'), std::string::npos);
    put(file, whole);
  }
  EXPECT_EQ(open_checkpoint(path).step(), 1);
}

TEST_F(Container, EveryTruncationAndExtensionIsNoticed) {
  const fs::path path = write(parent_, 1);
  for (const char* name : {"model.bin", kManifestName}) {
    const std::string whole = content_of(path / name);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      put(path / name, whole.substr(0, length));
      EXPECT_NE(refusal(path), "") << name << " " << length;
    }
    put(path / name, whole + "x");
    EXPECT_NE(refusal(path), "");
    put(path / name, whole);
  }
  put(path / "empty.bin", "x");
  EXPECT_THAT(refusal(path), HasSubstr("must have 0 bytes, got 1"));
}

TEST_F(Container, EveryOtherSetOfFilesIsNoticed) {
  const fs::path path = write(parent_, 1);
  put(path / "extra", "");
  EXPECT_THAT(refusal(path), HasSubstr("holds \"extra\", which is no part of the checkpoint"));
  fs::remove(path / "extra");
  fs::rename(path / "model.bin", folder_.path() / "model.bin");
  EXPECT_THAT(refusal(path), HasSubstr("model.bin: this part of the checkpoint is missing"));
  fs::create_symlink(folder_.path() / "model.bin", path / "model.bin");
  EXPECT_THAT(refusal(path), HasSubstr("not a regular file"));
  fs::remove(path / kManifestName);
  EXPECT_THAT(refusal(path), HasSubstr("holds no manifest.json"));
  EXPECT_THAT(refusal(parent_ / "nothing"), HasSubstr("no such checkpoint"));
}

TEST_F(Container, RefusesOtherVersionsAndForgedManifests) {
  const fs::path path = write(parent_, 1);
  const std::string begin = R"({"format":"ampersand checkpoint","version":)";
  forge(path, begin + "2}\n");
  EXPECT_THAT(refusal(path), HasSubstr("was written by a newer Ampersand (format version 2; this "
                                       "one reads 1)"));
  forge(path, begin + "0}\n");
  EXPECT_THAT(refusal(path), HasSubstr("version must be 1, got 0"));
  forge(path, "[]\n");
  EXPECT_THAT(refusal(path), HasSubstr("not the manifest of an Ampersand checkpoint"));
  forge(path, begin + "1,\"version\":1}\n");
  EXPECT_THAT(refusal(path), HasSubstr("has the key \"version\" twice"));
  for (const std::string rest :
       {R"("step":-1,"about":{},"parts":{}})", R"("step":1,"about":{},"parts":[]})",
        R"("step":1,"about":{},"parts":{"../x":{"bytes":0,"xxh3_128":""}}})",
        R"("step":1,"about":{},"parts":{"x":{"bytes":-1,"xxh3_128":""}}})",
        R"("step":1,"about":{},"parts":{"x":{"bytes":0}}})", R"("step":1,"parts":{}})"}) {
    forge(path, begin + "1," + rest + "\n");
    EXPECT_THAT(refusal(path), HasSubstr("must have format, version, step, about and parts"));
  }
}

TEST_F(Container, KeepsTheNewestWholeOnes) {
  for (std::int64_t step : {1, 2, 3}) write(parent_, step);
  EXPECT_THAT(names_in(parent_), ElementsAre("step-000000002", "step-000000003"));
  put(parent_ / "step-000000003" / "model.bin", "damaged");
  write(parent_, 4);  // 3 is damaged: 2 is the other one to keep
  EXPECT_THAT(names_in(parent_), ElementsAre("step-000000002", "step-000000003", "step-000000004"));
  write(parent_, 5);
  EXPECT_THAT(names_in(parent_), ElementsAre("step-000000004", "step-000000005"));
  write(parent_, 1, 1);  // an earlier step again: what was just written stays
  EXPECT_THAT(names_in(parent_), ElementsAre("step-000000001"));
}

TEST_F(Container, HarmlessStrangersArePassedOver) {
  const fs::path path = write(parent_, 1);
  for (const char* name : {".DS_Store", ".nfs0001", "model.bin~", "model.bin.orig", "Thumbs.db"})
    put(path / name, "x");
  fs::create_symlink("nowhere", path / ".#model.bin");
  EXPECT_NO_THROW(open_checkpoint(path));
}

// What others put into a checkpoint's folder, or under a checkpoint's name, is never removed.
TEST_F(Container, OthersFilesOutliveTheirCheckpoint) {
  for (std::int64_t step : {1, 2}) write(parent_, step);
  put(parent_ / "step-000000001" / "notes.txt", "mine");
  put(parent_ / "step-000000002" / ".DS_Store", "mine");
  fs::create_directory(parent_ / "step-000000000");
  put(parent_ / "step-000000000" / "model.bin", "mine");
  for (std::int64_t step : {3, 4, 5}) write(parent_, step);
  EXPECT_THAT(names_in(parent_ / "step-000000000"), ElementsAre("model.bin"));
  EXPECT_THAT(names_in(parent_ / "step-000000001"), ElementsAre("notes.txt"));
  EXPECT_THAT(names_in(parent_ / "step-000000002"), ElementsAre(".DS_Store"));
  EXPECT_FALSE(fs::exists(parent_ / "step-000000003"));

  write(parent_, 0);  // in the way: it gets another name
  EXPECT_NO_THROW(open_checkpoint(parent_ / "step-000000000"));
  EXPECT_EQ(content_of(parent_ / "step-000000000.aside" / "model.bin"), "mine");
  put(parent_ / "step-000000000" / "notes.txt", "mine");
  write(parent_, 0);
  EXPECT_NO_THROW(open_checkpoint(parent_ / "step-000000000"));
  EXPECT_THAT(names_in(parent_ / "step-000000000.aside-2"), ElementsAre("notes.txt"));
}

TEST_F(Container, TheNewestWholeOneIsTaken) {
  EXPECT_FALSE(newest_checkpoint(parent_).checkpoint);
  for (std::int64_t step : {9, 1000000000, 1000000001}) write(parent_, step, 9);
  fs::create_directory(parent_ / ".step-2000000000.tmp-1");
  fs::create_directory(parent_ / "step-5");
  put(parent_ / "step-1000000001" / "model.bin", "damaged");
  auto newest = newest_checkpoint(parent_);
  EXPECT_EQ(newest.checkpoint->step(), 1000000000);
  ASSERT_EQ(newest.passed_over.size(), 1U);
  EXPECT_EQ(newest.passed_over[0].path, parent_ / "step-1000000001");
  EXPECT_THAT(newest.passed_over[0].reason, HasSubstr("model.bin: must have 600 bytes, got 7"));
  fs::rename(parent_ / "step-1000000000", parent_ / "step-1000000002");
  newest = newest_checkpoint(parent_);
  EXPECT_EQ(newest.checkpoint->step(), 9);
  EXPECT_THAT(newest.passed_over[0].reason, HasSubstr("holds step 1000000000, not that of its"));
  EXPECT_THAT(error_of([&] { newest_checkpoint(parent_ / "step-000000009" / "model.bin"); }),
              HasSubstr("cannot be read"));
}

TEST_F(Container, ReplacesTheSameStep) {
  write(parent_, 3);
  for (const char* content : {"second", "third"}) {
    write_checkpoint(parent_, 3, std::vector{part("other.bin", content)}, {});
    EXPECT_THAT(names_in(parent_), ElementsAre("step-000000003"));
    EXPECT_EQ(content_of(open_checkpoint(parent_ / "step-000000003").part_path("other.bin")),
              content);
  }
}

TEST_F(Container, ReplacesWhereNamesCannotBeExchanged) {
  const fs::path old = write(parent_, 3);
  const fs::path fresh =
      write_checkpoint(folder_.path() / "elsewhere", 3, std::vector{part("other.bin", "new")}, {});
  replace_folder(fresh, old, false);
  EXPECT_THAT(names_in(parent_), ElementsAre("step-000000003"));
  EXPECT_THAT(open_checkpoint(old).parts(), ElementsAre("other.bin"));
  // Ended between the two renames: the one moved aside counts until the step is written again.
  fs::rename(old, old.string() + kReplaced);
  EXPECT_EQ(newest_checkpoint(parent_).checkpoint->step(), 3);
  write(parent_, 3);
  EXPECT_THAT(names_in(parent_), ElementsAre("step-000000003"));
}

TEST_F(Container, RemovesWhatDeadWritersLeft) {
  fs::create_directories(parent_ / ".step-000000001.tmp-2147483646" / "x");  // above any PID
  fs::create_directories(parent_ / temporary_name("step-000000002"));        // an earlier life's
  fs::create_directories(parent_ / ".step-000000003.tmp-1");                 // PID 1 is alive
  fs::create_directories(parent_ / ".other.tmp-2147483646");
  write(parent_, 9);
  EXPECT_THAT(names_in(parent_),
              ElementsAre(".other.tmp-2147483646", ".step-000000003.tmp-1", "step-000000009"));
}

TEST_F(Container, APartThatThrowsLeavesEarlierOnesAlone) {
  write(parent_, 1);
  const Part broken{"b", [](const Sink& sink) {
                      sink("x", 1);
                      throw std::runtime_error("no more");
                    }};
  EXPECT_EQ(error_of<std::runtime_error>(
                [&] { write_checkpoint(parent_, 1, std::span(&broken, 1), {}); }),
            "no more");
  EXPECT_THAT(names_in(parent_), ElementsAre("step-000000001"));
  EXPECT_EQ(open_checkpoint(parent_ / "step-000000001").step(), 1);
}

}  // namespace
}  // namespace amp::checkpoint::tests::container_test
