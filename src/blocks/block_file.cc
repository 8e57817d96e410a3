// SPDX-License-Identifier: Apache-2.0
#include "blocks/block_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/hash.h"
#include "base/kept_memory.h"
#include "base/same_file.h"

namespace tailgate {
namespace {

constexpr std::size_t kFirstRead = 64 << 10;  // most blocks come with their header in one read
constexpr std::size_t kSearchStep = 1 << 20;

tl::unexpected<Error> failed(const char* what, const std::string& path) {
  return fail(ErrorKind::kIo, fmt::format("cannot {} '{}': {}", what, path, std::strerror(errno)));
}

// Up to `size` bytes; fewer at the end of the file.
Result<void> read_at(int fd, const std::string& path, std::uint64_t position, std::size_t size, std::string& out) {
  out.resize(size);
  std::size_t have = 0;
  while (have != size) {
    const ssize_t n = ::pread(fd, out.data() + have, size - have, static_cast<off_t>(position + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  out.resize(have);
  return {};
}

Result<void> write_at(int fd, const std::string& path, std::uint64_t position, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write to", path);
    bytes.remove_prefix(static_cast<std::size_t>(n));
    position += static_cast<std::uint64_t>(n);
  }
  return {};
}

bool read_records(std::uint32_t count, Block& block) {
  block.records.clear();
  std::string_view rest = block.raw;
  for (std::uint32_t i = 0; i != count; ++i) {
    if (rest.size() < kRecordHeaderBytes) return false;
    Record record;
    record.kind = static_cast<std::uint8_t>(rest[0]);
    record.id = rest.substr(1, kRecordIdBytes);
    const auto size = load_le<std::uint32_t>(rest.data() + 17);
    rest.remove_prefix(kRecordHeaderBytes);
    if (size > rest.size()) return false;
    record.bytes = rest.substr(0, size);
    rest.remove_prefix(size);
    block.records.push_back(record);
  }
  return rest.empty();
}

Result<BlockFileHeader> check_file_header(const std::string& path, std::string_view bytes) {
  const auto header = read_block_file_header(bytes);
  if (!header) {
    return fail(ErrorKind::kBadInput,
                fmt::format("expected a file of blocks, got something else or a damaged header in '{}'", path));
  }
  if (header->version != kBlockFileVersion) {
    return fail(ErrorKind::kBadInput,
                fmt::format("expected version {} of the format of blocks, got {} in '{}'. A newer Tailgate wrote it: "
                            "start that one, or set another directory",
                            kBlockFileVersion, header->version, path));
  }
  return *header;
}

}  // namespace

Result<std::unique_ptr<BlockReader>> BlockReader::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed("open", path);
  std::unique_ptr<BlockReader> reader(new BlockReader(path, fd));
  std::string bytes;
  if (auto got = read_at(fd, path, 0, kBlockFileHeaderBytes, bytes); !got) return tl::unexpected(got.error());
  const Result<BlockFileHeader> header = check_file_header(path, bytes);
  if (!header) return tl::unexpected(header.error());
  reader->created_ns_ = header->created_ns;
  reader->salt_ = header->salt;
  return reader;
}

BlockReader::~BlockReader() { ::close(fd_); }

Result<std::uint64_t> BlockReader::size() const {
  struct stat s = {};
  if (::fstat(fd_, &s) != 0) return failed("look at", path_);
  return static_cast<std::uint64_t>(s.st_size);
}

Result<void> BlockReader::read(std::uint64_t position, Block& out) const {
  std::string bytes;
  if (auto got = read_at(fd_, path_, position, kFirstRead, bytes); !got) return got;
  const auto damaged = [&] {
    return fail(ErrorKind::kBadInput, fmt::format("the block at byte {} of '{}' is damaged", position, path_));
  };
  const auto header = read_block_header(bytes);
  if (!header) return damaged();
  const std::size_t size = kBlockHeaderBytes + header->stored_bytes;
  if (size > bytes.size()) {
    if (bytes.size() < kFirstRead) return damaged();  // the file ends before the block does
    std::string rest;
    const Result<std::uint64_t> file = this->size();
    if (!file) return tl::unexpected(file.error());
    if (position + size > *file) return damaged();
    if (auto got = read_at(fd_, path_, position + bytes.size(), size - bytes.size(), rest); !got) return got;
    bytes += rest;
  }
  bytes.resize(std::min(size, bytes.size()));
  if (!unpack_block(*header, bytes, salt_, out.raw) || !read_records(header->records, out)) return damaged();
  out.position = position;
  out.next = position + size;
  out.number = header->number;
  return {};
}

// The position of the next whole block; the size of the file when there is none.
Result<std::uint64_t> BlockReader::find_block(std::uint64_t from, std::uint64_t size, Block& out) const {
  std::string magic, bytes;
  append_le(magic, kBlockMagic);
  while (from + kBlockHeaderBytes <= size) {
    if (auto got = read_at(fd_, path_, from, kSearchStep, bytes); !got) return tl::unexpected(got.error());
    for (std::size_t at = bytes.find(magic); at != std::string::npos; at = bytes.find(magic, at + 1)) {
      const Result<void> whole = read(from + at, out);
      if (whole) return from + at;
      if (whole.error().kind != ErrorKind::kBadInput) return tl::unexpected(whole.error());
    }
    if (bytes.size() < kSearchStep) break;
    from += bytes.size() - magic.size() + 1;
  }
  return size;
}

Result<BlockRecovery> BlockReader::scan(std::uint64_t position, const std::function<bool(const Block&)>& take) const {
  const Result<std::uint64_t> size = this->size();
  if (!size) return tl::unexpected(size.error());
  BlockRecovery found;
  position = std::max<std::uint64_t>(position, kBlockFileHeaderBytes);
  found.end = position;
  Block block;
  while (position < *size) {
    const Result<void> whole = read(position, block);
    if (!whole) {
      if (whole.error().kind != ErrorKind::kBadInput) return tl::unexpected(whole.error());
      const Result<std::uint64_t> next = find_block(position + 1, *size, block);
      if (!next) return tl::unexpected(next.error());
      if (*next == *size) break;
      ++found.damaged;
      found.damaged_bytes += *next - position;
    }
    ++found.blocks;
    found.records += block.records.size();
    found.end = position = block.next;
    found.next_number = block.number + 1;
    if (take && !take(block)) return found;
  }
  found.torn_bytes = *size > found.end ? *size - found.end : 0;
  return found;
}

Result<std::unique_ptr<BlockWriter>> BlockWriter::open(const std::string& path, const BlockWriterOptions& options,
                                                       BlockRecovery* recovery,
                                                       const std::function<bool(const Block&)>& take) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, options.mode);
  if (fd < 0) return failed("open", path);
  std::unique_ptr<BlockWriter> writer(new BlockWriter(path, fd, options.codec));
  std::string bytes;
  if (auto got = read_at(fd, path, 0, kBlockFileHeaderBytes, bytes); !got) return tl::unexpected(got.error());
  if (bytes.size() < kBlockFileHeaderBytes) {
    writer->salt_ = options.salt != 0 ? options.salt : random_seed();
    const std::string header = block_file_header(options.created_ns, writer->salt_);
    if (bytes != header.substr(0, std::min(bytes.size(), kBlockFileMagic.size())) &&
        !bytes.starts_with(kBlockFileMagic)) {
      return fail(ErrorKind::kBadInput, fmt::format("expected a file of blocks, got something else in '{}'", path));
    }
    if (auto done = write_at(fd, path, 0, header); !done) return tl::unexpected(done.error());
    writer->end_ = writer->synced_end_ = header.size();
    if (options.sync) {
      if (auto done = writer->sync(); !done) return tl::unexpected(done.error());
    }
    if (recovery) recovery->end = header.size();
    return writer;
  }
  const Result<std::unique_ptr<BlockReader>> reader = BlockReader::open(path);
  if (!reader) return tl::unexpected(reader.error());
  const Result<BlockRecovery> found = (*reader)->scan(options.from, take);
  if (!found) return tl::unexpected(found.error());
  writer->salt_ = (*reader)->salt_;
  writer->end_ = writer->synced_end_ = found->end;
  writer->number_ = writer->synced_number_ = found->blocks == 0 ? options.from_number : found->next_number;
  writer->cut_due_ = found->torn_bytes != 0;
  if (auto done = writer->cut(); !done) return tl::unexpected(done.error());
  if (recovery) *recovery = *found;
  return writer;
}

BlockWriter::~BlockWriter() { ::close(fd_); }

bool append_record_front(std::string& raw, std::uint8_t kind, std::string_view id, std::string_view front,
                         std::size_t rest) {
  const std::size_t size = front.size() + rest;
  if (raw.size() + kRecordHeaderBytes + size > kBlockBytesMax || id.size() != kRecordIdBytes) return false;
  raw.push_back(static_cast<char>(kind));
  raw += id;
  append_le(raw, static_cast<std::uint32_t>(size));
  raw += front;
  return true;
}

bool append_record(std::string& raw, std::uint8_t kind, std::string_view id, std::string_view front,
                   std::string_view rest) {
  if (!append_record_front(raw, kind, id, front, rest.size())) return false;
  raw += rest;
  return true;
}

bool BlockWriter::add(std::uint8_t kind, std::string_view id, std::string_view front, std::string_view rest) {
  if (!append_record(raw_, kind, id, front, rest)) return false;
  ++records_;
  return true;
}

Result<std::uint64_t> BlockWriter::write() {
  block_.clear();
  if (!append_block(block_, number_, records_, raw_, codec_, salt_)) {
    return fail(ErrorKind::kIo, fmt::format("cannot compress a block for '{}': no memory", path_));
  }
  Result<std::uint64_t> position = put(1);
  if (!position) return position;
  records_ = 0;
  raw_.clear();
  limit_memory(raw_, 8 << 20);
  return position;
}

Result<std::uint64_t> BlockWriter::write(std::span<PackedBlock> blocks) {
  block_.clear();
  std::uint64_t number = number_;
  for (PackedBlock& block : blocks) {
    seal_block(block, number++, salt_);
    block_ += block.bytes;
  }
  return put(blocks.size());
}

// Writes block_, which holds so many.
Result<std::uint64_t> BlockWriter::put(std::uint64_t blocks) {
  if (auto done = cut(); !done) return tl::unexpected(done.error());
  cut_due_ = true;
  if (auto done = write_at(fd_, path_, end_, block_); !done) return tl::unexpected(done.error());
  cut_due_ = false;
  const std::uint64_t position = end_;
  end_ += block_.size();
  number_ += blocks;
  limit_memory(block_, 8 << 20);
  return position;
}

Result<void> BlockWriter::sync() {
  if (::fdatasync(fd_) != 0) return failed("sync", path_);
  synced_end_ = end_;
  synced_number_ = number_;
  return {};
}

void BlockWriter::roll_back() {
  raw_.clear();
  records_ = 0;
  cut_due_ = cut_due_ || end_ != synced_end_;
  end_ = synced_end_;
  number_ = synced_number_;
  (void)cut();  // if it fails, the next write tries it again
}

bool BlockWriter::in_place() const { return is_still_at(fd_, path_.c_str()); }

bool BlockWriter::removed() const {
  struct stat s = {};
  return ::fstat(fd_, &s) == 0 && s.st_nlink == 0;
}

Result<void> BlockWriter::cut() {
  if (!cut_due_) return {};
  if (::ftruncate(fd_, static_cast<off_t>(end_)) != 0) return failed("cut", path_);
  cut_due_ = false;
  return {};
}

Result<void> sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed("open", path);
  const int synced = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  errno = error;
  if (synced != 0) return failed("sync", path);
  return {};
}

}  // namespace tailgate
