// SPDX-License-Identifier: Apache-2.0
// A large block costs memory while it is written, and not for as long as the process runs.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <random>

#include "blocks/block_file.h"
#include "support/counted_memory.h"

namespace tailgate {
namespace {

constexpr std::size_t kMiB = 1024 * 1024;

std::string random_bytes(std::size_t size) {
  std::mt19937_64 random(1);
  std::string out(size, 0);
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

}  // namespace

TEST_CASE("the memory of a large block is given back", "[blocks]") {
  const std::string large = random_bytes(24 * kMiB), small = random_bytes(kMiB);
  const std::string path =
      std::filesystem::temp_directory_path() / ("tailgate-block-memory-" + std::to_string(::getpid()));
  for (const BlockCodec codec : {BlockCodec::kPlain, BlockCodec::kLz4, BlockCodec::kZstd}) {
    INFO("codec " << static_cast<int>(codec));
    std::filesystem::remove(path);
    auto writer = BlockWriter::open(path, {.codec = codec, .created_ns = 7});
    REQUIRE(writer);
    const auto write = [&](const std::string& bytes) {
      const bool good = (*writer)->add(1, std::string(16, 'i'), bytes) && (*writer)->write();
      REQUIRE(good);
    };
    const test::CountedMemory used = test::memory_of([&] { write(large); });
    CHECK(used.most > static_cast<std::int64_t>(24 * kMiB));
    CHECK(used.held < static_cast<std::int64_t>(kMiB));

    // Small ones keep theirs.
    write(small);
    const test::CountedMemory again = test::memory_of([&] { write(small); });
    CHECK(again.most < static_cast<std::int64_t>(kMiB / 4));
  }
  std::filesystem::remove(path);
}

}  // namespace tailgate
