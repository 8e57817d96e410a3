// SPDX-License-Identifier: Apache-2.0
#include "blocks/block_file.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "blocks/directory_lock.h"
#include "support/random_otlp.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("tailgate-blocks-" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name = "a.blocks") const { return path / name; }
};

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void put(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<long>(bytes.size()));
}

const std::string kId(16, 'i');

// Three blocks of two records each; where each ends.
std::vector<std::uint64_t> write_three(const std::string& path, BlockCodec codec) {
  fs::remove(path);
  auto writer = BlockWriter::open(path, {.codec = codec, .created_ns = 7});
  REQUIRE(writer);
  std::vector<std::uint64_t> ends{(*writer)->size()};
  for (int block = 0; block != 3; ++block) {
    REQUIRE((*writer)->add(1, kId, "front ", std::string(40, static_cast<char>('a' + block))));
    REQUIRE((*writer)->add(2, kId, ""));
    REQUIRE((*writer)->write());
    REQUIRE((*writer)->sync());
    ends.push_back((*writer)->size());
  }
  return ends;
}

std::string records_of(const std::string& path) {
  std::string out;
  const auto reader = BlockReader::open(path);
  if (!reader) return "refused";
  const auto found = (*reader)->scan(0, [&](const Block& block) {
    for (const Record& r : block.records) out += r.bytes;
    return true;
  });
  REQUIRE(found);
  return out;
}

TEST_CASE("records come back as they were written, whatever the codec", "[blocks]") {
  const Folder folder;
  for (const BlockCodec codec : {BlockCodec::kPlain, BlockCodec::kLz4, BlockCodec::kZstd}) {
    write_three(folder.file(), codec);
    CHECK(records_of(folder.file()) ==
          "front " + std::string(40, 'a') + "front " + std::string(40, 'b') + "front " + std::string(40, 'c'));
  }
}

// For LZ4 what is in front becomes literals of the first sequence: all lengths at which their number takes another
// byte.
TEST_CASE("a block of two pieces is that of both in a row", "[blocks]") {
  constexpr std::size_t kLiterals[] = {0, 1, 13, 14, 15, 16, 200, 254, 255, 256, 269, 270, 271, 524, 525, 526, 3000};
  constexpr std::size_t kMatches[] = {0, 4, 18, 19, 20, 2000};
  test::Random r(3);
  const auto noise = [&](std::size_t size) {
    std::string out(size, ' ');
    for (char& c : out) c = static_cast<char>(r.below(256));
    return out;
  };
  const auto comes_back = [](const std::string& front, const std::string& rest, BlockCodec codec) {
    PackedBlock block;
    block.records = 1;
    if (!pack_block(front, rest, codec, block)) return false;
    seal_block(block, 5, 9);
    const auto header = read_block_header(block.bytes);
    std::string raw;
    return header && unpack_block(*header, block.bytes, 9, raw) && raw == front + rest;
  };
  for (const BlockCodec codec : {BlockCodec::kPlain, BlockCodec::kLz4, BlockCodec::kZstd}) {
    std::size_t bad = 0;
    for (const std::size_t literals : kLiterals) {
      for (const std::size_t match : kMatches) {
        const std::string rest = noise(literals) + std::string(match, 'm') + noise(match);
        for (std::size_t front = 0; front < 600; front += front < 20 || (front > 230 && front < 280) ? 1 : 17)
          bad += comes_back(noise(front), rest, codec) ? 0 : 1;
        bad += comes_back(noise(70'000), rest, codec) ? 0 : 1;
      }
    }
    CHECK(bad == 0);
    PackedBlock block;
    REQUIRE(pack_block("front", std::string(2000, 'm'), codec, block));
    CHECK(block.codec == codec);
  }
}

TEST_CASE("each byte that is flipped is found", "[blocks]") {
  const Folder folder;
  for (const BlockCodec codec : {BlockCodec::kPlain, BlockCodec::kLz4, BlockCodec::kZstd}) {
    const auto ends = write_three(folder.file(), codec);
    const std::string good = bytes_of(folder.file());
    const std::string records = records_of(folder.file());
    for (std::size_t i = 0; i != good.size(); ++i) {
      INFO("codec " << static_cast<int>(codec) << ", byte " << i);
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x10);
      put(folder.file("bad"), bad);
      const auto reader = BlockReader::open(folder.file("bad"));
      if (i < kBlockFileHeaderBytes) {
        CHECK_FALSE(reader);
        continue;
      }
      REQUIRE(reader);
      const auto found = (*reader)->scan(0, {});
      REQUIRE(found);
      CHECK(found->blocks == 2);
      const bool last = i >= ends[2];
      CHECK(found->damaged == (last ? 0 : 1));
      CHECK(found->torn_bytes == (last ? ends[3] - ends[2] : 0));
      const std::size_t block = i < ends[1] ? 0 : i < ends[2] ? 1 : 2;
      CHECK(records_of(folder.file("bad")) == std::string(records).erase(46 * block, 46));
    }
  }
}

TEST_CASE("a file cut at any byte goes on after its last whole block", "[blocks]") {
  const Folder folder;
  const auto ends = write_three(folder.file(), BlockCodec::kZstd);
  const std::string good = bytes_of(folder.file());
  for (std::size_t size = 0; size <= good.size(); ++size) {
    INFO("cut at " << size);
    put(folder.file("cut"), good.substr(0, size));
    BlockRecovery recovery;
    {
      auto writer = BlockWriter::open(folder.file("cut"), {.codec = BlockCodec::kZstd, .created_ns = 7}, &recovery);
      REQUIRE(writer);
      std::uint64_t whole = 0;
      while (whole < 3 && ends[whole + 1] <= size) ++whole;
      CHECK(recovery.blocks == whole);
      CHECK(recovery.torn_bytes == (size < ends[0] ? 0 : size - ends[whole]));
      REQUIRE((*writer)->add(1, kId, "more"));
      CHECK((*writer)->write().value_or(0) == ends[whole]);
      REQUIRE((*writer)->sync());
    }
    CHECK(records_of(folder.file("cut")).ends_with("more"));
  }
}

TEST_CASE("what was not synced is taken back", "[blocks]") {
  const Folder folder;
  auto writer = BlockWriter::open(folder.file(), {});
  REQUIRE(writer);
  REQUIRE((*writer)->add(1, kId, "kept"));
  REQUIRE((*writer)->write());
  REQUIRE((*writer)->sync());
  REQUIRE((*writer)->add(1, kId, "lost"));
  REQUIRE((*writer)->write());
  (*writer)->roll_back();
  CHECK(records_of(folder.file()) == "kept");
  REQUIRE((*writer)->add(1, kId, ", again"));
  REQUIRE((*writer)->write());
  CHECK(records_of(folder.file()) == "kept, again");
}

// Whoever sends spans chooses their bytes, and what does not shrink is stored as it is.
TEST_CASE("a block inside a record is not taken for one where damage makes a reader look for the next", "[blocks]") {
  std::string inner;
  REQUIRE(append_block(inner, 1, 1, std::string(1, '\1') + std::string(kId) + std::string("\4\0\0\0fake", 8),
                       BlockCodec::kPlain, 7));
  for (const std::uint64_t salt : {std::uint64_t{7}, std::uint64_t{8}}) {
    const Folder folder;
    BlockWriterOptions options;
    options.codec = BlockCodec::kPlain;
    options.salt = salt;
    auto writer = BlockWriter::open(folder.file(), options);
    REQUIRE(writer);
    REQUIRE((*writer)->add(1, kId, inner));
    REQUIRE((*writer)->write());
    REQUIRE((*writer)->add(1, kId, "last"));
    REQUIRE((*writer)->write());
    REQUIRE((*writer)->sync());
    std::string bytes = bytes_of(folder.file());
    bytes[kBlockFileHeaderBytes + 5] ^= 1;
    put(folder.file(), bytes);
    CHECK(records_of(folder.file()) == (salt == 7 ? "fakelast" : "last"));  // 7: a stranger who knew the salt
  }
}

TEST_CASE("a newer version and another file are refused and left alone", "[blocks]") {
  const Folder folder;
  std::string header = block_file_header(1, 2).substr(0, 28);
  header[8] = 2;
  append_le(header, crc32c(header));
  put(folder.file(), header);
  const auto newer = BlockWriter::open(folder.file(), {});
  REQUIRE_FALSE(newer);
  CHECK(newer.error().text.find("expected version 1 of the format of blocks, got 2") != std::string::npos);
  CHECK(bytes_of(folder.file()) == header);
  for (const std::string other : {"hello", "a longer text that is not a file of blocks"}) {
    put(folder.file(), other);
    CHECK_FALSE(BlockWriter::open(folder.file(), {}));
    CHECK(bytes_of(folder.file()) == other);
  }
}

TEST_CASE("CRC32C is that of RFC 3720", "[blocks]") {
  CHECK(crc32c("123456789") == 0xe3069283);
  CHECK(crc32c("6789", crc32c("12345")) == 0xe3069283);
}

TEST_CASE("a directory has one writer", "[blocks]") {
  const Folder folder;
  auto first = DirectoryLock::take(folder.path);
  REQUIRE(first);
  const auto second = DirectoryLock::take(folder.path);
  REQUIRE_FALSE(second);
  CHECK(second.error().kind == ErrorKind::kRefused);
  *first = DirectoryLock();
  CHECK(DirectoryLock::take(folder.path));
}

}  // namespace
}  // namespace tailgate
