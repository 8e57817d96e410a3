// SPDX-License-Identifier: Apache-2.0
// Files of blocks that nobody has written: the input as the whole file, and as the payload of a block whose checksum is
// right. Nothing may crash, hang or grow, and what a scan finds lies in the file.
#include <cstddef>
#include <cstdint>
#include <string>

#include "blocks/block_file.h"
#include "blocks/format.h"
#include "support/demand.h"
#include "support/memory_file.h"

using namespace tailgate;
using test::demand;

namespace {

constexpr std::uint64_t kSalt = 7;

// Reads all that can be read; returns the number of records.
std::size_t scan(std::string_view file) {
  static test::MemoryFile memory;
  memory.put(file);
  const auto reader = BlockReader::open(memory.path());
  if (!reader) return 0;
  std::size_t records = 0;
  const auto found = (*reader)->scan(0, [&](const Block& block) {
    demand(block.next <= file.size() && block.position < block.next, "a block is outside of the file");
    records += block.records.size();
    return true;
  });
  demand(found.has_value(), "a file in memory cannot be read");
  demand(found->end <= file.size() && found->end + found->torn_bytes <= file.size(), "the end is outside of the file");
  return records;
}

// A block of that codec with this payload, as if somebody had compressed so many bytes into it.
std::string block_of(std::uint8_t codec, std::uint32_t raw_bytes, std::uint32_t records, std::string_view payload) {
  std::string rest;
  append_le(rest, std::uint64_t{0});
  append_le(rest, static_cast<std::uint32_t>(payload.size()));
  append_le(rest, raw_bytes);
  append_le(rest, records);
  append_le(rest, static_cast<std::uint32_t>(codec));
  rest += payload;
  std::string salt;
  append_le(salt, kSalt);
  std::string out;
  append_le(out, kBlockMagic);
  append_le(out, crc32c(rest, crc32c(salt)));
  return out + rest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  scan(input);
  const std::string header = block_file_header(1, kSalt);
  scan(header + std::string(input));
  if (size < 8) return 0;
  const auto raw_bytes = load_le<std::uint32_t>(input.data()) & 0xfffff;
  scan(header + block_of(input[4] & 3, raw_bytes, static_cast<std::uint8_t>(input[5]), input.substr(8)));
  // A payload as it is, framed by us, comes back as it was.
  std::string block, raw;
  demand(append_block(block, 0, 1, input, static_cast<BlockCodec>(static_cast<std::uint8_t>(input[4]) % 3), kSalt),
         "a block cannot be made");
  const auto read = read_block_header(block);
  demand(read && unpack_block(*read, block, kSalt, raw) && raw == input, "a block does not come back as it was");
  // In two pieces likewise.
  const std::size_t cut = std::min<std::size_t>(static_cast<std::uint8_t>(input[5]) * 3U, size);
  PackedBlock packed;
  packed.records = 1;
  demand(pack_block(input.substr(0, cut), input.substr(cut),
                    static_cast<BlockCodec>(static_cast<std::uint8_t>(input[4]) % 3), packed),
         "a block of two pieces cannot be made");
  seal_block(packed, 0, kSalt);
  const auto again = read_block_header(packed.bytes);
  demand(again && unpack_block(*again, packed.bytes, kSalt, raw) && raw == input, "two pieces do not come back");
  return 0;
}
