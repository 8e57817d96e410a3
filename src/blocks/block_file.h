// SPDX-License-Identifier: Apache-2.0
// BlockWriter appends records to a block file; BlockReader reads its blocks by their position.
//
//   auto writer = BlockWriter::open(path, {.codec = BlockCodec::kZstd}, &recovery);   // cuts off a torn tail
//   writer->add(kind, id, bytes);                 // into memory
//   auto position = writer->write();              // one block with all that was added
//   auto synced = writer->sync();                 // from here on it outlives the machine
//   if (!position || !synced) writer->roll_back();  // to the last sync
//
// Threads: a writer belongs to one; readers, any number, read what was written, from the same process or another.
// Failures are kIo with the path; kBadInput for a file that is no block file or of a newer version.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "blocks/format.h"

namespace tailgate {

struct Record {
  std::uint8_t kind = 0;
  std::string_view id;  // 16 bytes
  std::string_view bytes;
};

struct Block {
  std::uint64_t position = 0, next = 0;  // in the file; `next` is where the block after it begins
  std::uint64_t number = 0;
  std::string raw;
  std::vector<Record> records;  // views into raw
};

// What a scan met.
struct BlockRecovery {
  std::uint64_t blocks = 0, records = 0;  // that are whole
  std::uint64_t end = 0;                  // of the last whole block
  std::uint64_t next_number = 0;          // of the block after it
  std::uint64_t damaged = 0;              // places with bytes that are no whole block, and a whole one after them
  std::uint64_t damaged_bytes = 0;
  std::uint64_t torn_bytes = 0;  // after the last whole block
};

class BlockReader {
 public:
  static Result<std::unique_ptr<BlockReader>> open(const std::string& path);
  ~BlockReader();
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;

  // kBadInput when there is no whole block at this position. One read, or two for a large block.
  Result<void> read(std::uint64_t position, Block& out) const;

  // Hands over each whole block from `position` on (0: from the first) until `take` returns false.
  Result<BlockRecovery> scan(std::uint64_t position, const std::function<bool(const Block&)>& take) const;

  std::uint64_t created_ns() const { return created_ns_; }
  const std::string& path() const { return path_; }

 private:
  friend class BlockWriter;
  BlockReader(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Result<std::uint64_t> size() const;
  Result<std::uint64_t> find_block(std::uint64_t from, std::uint64_t size, Block& out) const;

  std::string path_;
  int fd_;
  std::uint64_t created_ns_ = 0, salt_ = 0;
};

struct BlockWriterOptions {
  BlockCodec codec = BlockCodec::kZstd;
  std::uint64_t created_ns = 0;  // of a new file
  std::uint64_t salt = 0;        // likewise; 0: a random one
  // Where a block is known to begin, and its number: only what comes after is looked at. 0: all of the file.
  std::uint64_t from = 0, from_number = 0;
  unsigned mode = 0644;  // of a new file
  bool sync = true;      // its header; false: nothing of it has to outlive the machine
};

// Appends a record to the bytes of a block; the front: all of it but its last `rest` bytes, which are to follow. False
// when it is larger than a block may be. The bytes of a record may come in two pieces.
bool append_record_front(std::string& raw, std::uint8_t kind, std::string_view id, std::string_view front,
                         std::size_t rest);
bool append_record(std::string& raw, std::uint8_t kind, std::string_view id, std::string_view front,
                   std::string_view rest = {});

class BlockWriter {
 public:
  // Continues the file, or makes it. A file that is shorter than its header is made anew: nothing was synced in it.
  // `take` gets what is looked at; it may be empty.
  static Result<std::unique_ptr<BlockWriter>> open(const std::string& path, const BlockWriterOptions& options,
                                                   BlockRecovery* recovery = nullptr,
                                                   const std::function<bool(const Block&)>& take = {});
  ~BlockWriter();
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;

  // As append_record().
  bool add(std::uint8_t kind, std::string_view id, std::string_view front, std::string_view rest = {});
  std::uint32_t pending() const { return records_; }
  std::size_t pending_bytes() const { return raw_.size(); }

  // The position of the block.
  Result<std::uint64_t> write();
  // Likewise, of the first of these blocks, which others have packed. One write for all of them.
  Result<std::uint64_t> write(std::span<PackedBlock> blocks);
  Result<void> sync();
  // Cuts off what a write that failed may have left; else the next write does.
  Result<void> cut();
  // Takes back what was added and written since the last sync.
  void roll_back();

  // False once somebody has removed or moved the file.
  bool in_place() const;
  // True once it has no name at all: asked without finding the path.
  bool removed() const;

  std::uint64_t size() const { return end_; }
  std::uint64_t next_number() const { return number_; }

 private:
  BlockWriter(std::string path, int fd, BlockCodec codec) : path_(std::move(path)), fd_(fd), codec_(codec) {}
  Result<std::uint64_t> put(std::uint64_t blocks);

  std::string path_;
  int fd_;
  BlockCodec codec_;
  std::uint64_t salt_ = 0;
  std::string raw_, block_;
  std::uint32_t records_ = 0;
  std::uint64_t number_ = 0, synced_number_ = 0;
  std::uint64_t end_ = 0, synced_end_ = 0;
  bool cut_due_ = false;  // the file may be longer than end_
};

// Makes the entries of a directory outlive the machine.
Result<void> sync_directory(const std::string& path);

}  // namespace tailgate
