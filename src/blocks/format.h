// SPDX-License-Identifier: Apache-2.0
// The bytes of a block file (docs/design/0018-blocks-and-store.md): a header, then blocks, each a run of whole records.
// Numbers are little-endian. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tailgate {

enum class BlockCodec : std::uint8_t { kPlain, kLz4, kZstd };

inline constexpr std::string_view kBlockFileMagic = "tgblocks";
inline constexpr std::uint32_t kBlockFileVersion = 1;
inline constexpr std::size_t kBlockFileHeaderBytes = 32;
inline constexpr std::uint32_t kBlockMagic = 0x0142'4754;  // "TGB\1"
inline constexpr std::size_t kBlockHeaderBytes = 32;
inline constexpr std::size_t kRecordHeaderBytes = 21;
inline constexpr std::size_t kRecordIdBytes = 16;
// What a reader takes memory for, whatever a damaged header says. A record of more is refused when it is written.
inline constexpr std::size_t kBlockBytesMax = std::size_t{256} << 20;

struct BlockHeader {
  std::uint32_t crc = 0;  // CRC32C of the file's salt, of the header from `number` on and of the payload
  std::uint64_t number = 0;
  std::uint32_t stored_bytes = 0;  // of the payload, as it is in the file
  std::uint32_t raw_bytes = 0;     // of the records
  std::uint32_t records = 0;
  BlockCodec codec = BlockCodec::kPlain;
};

struct BlockFileHeader {
  std::uint32_t version = 0;
  std::uint64_t created_ns = 0;
  // A random number that goes into every checksum: bytes that a stranger has put into a span never look like a block of
  // this file, even where damage makes a reader look for the next one.
  std::uint64_t salt = 0;
};

// Continues from `crc`.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc = 0);

template <class T>
void append_le(std::string& out, T value) {
  for (std::size_t i = 0; i != sizeof value; ++i) {
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

std::string block_file_header(std::uint64_t created_ns, std::uint64_t salt);
// Nothing when it is not the header of a block file or is damaged. The version may be one that we do not know.
std::optional<BlockFileHeader> read_block_file_header(std::string_view bytes);

// A block without its place in a file, which nobody needs to know to compress: room for the header, then the payload.
struct PackedBlock {
  std::string bytes;
  std::uint32_t records = 0;
  std::uint32_t raw_bytes = 0;
  BlockCodec codec = BlockCodec::kPlain;
};
// Of the records `front` and `rest` in a row; LZ4 does not copy `rest`, which is not the shorter part. False when a
// library could not compress. `block.records` is the caller's.
bool pack_block(std::string_view front, std::string_view rest, BlockCodec codec, PackedBlock& block);
inline bool pack_block(std::string_view raw, BlockCodec codec, PackedBlock& block) {
  return pack_block({}, raw, codec, block);
}
// Writes the header. What `block.bytes` holds is then block `number` of a file with this salt.
void seal_block(PackedBlock& block, std::uint64_t number, std::uint64_t salt);

// Appends header and payload. False when a library could not compress.
bool append_block(std::string& out, std::uint64_t number, std::uint32_t records, std::string_view raw, BlockCodec codec,
                  std::uint64_t salt);
// The header at the front of `bytes`; nothing when there is none, or it says what no writer writes.
std::optional<BlockHeader> read_block_header(std::string_view bytes);
// Checks `block`, header and payload, and unpacks the payload. False when it is damaged.
bool unpack_block(const BlockHeader& header, std::string_view block, std::uint64_t salt, std::string& raw);

}  // namespace tailgate
