// SPDX-License-Identifier: Apache-2.0
#include "journal/id_index.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/hash.h"
#include "base/replace_file.h"
#include "blocks/format.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr std::string_view kMagic = "tgjrids\x01";  // with the version
constexpr std::uint64_t kSeed = 0x6a6f'7572'6e61'6c01;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kEntryBytes = 16;
constexpr std::size_t kPageEntries = (kPageBytes - 4) / kEntryBytes;  // a checksum of the rest is the page's end
constexpr unsigned kFileMode = 0600;

struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) ::close(fd);
  }
};

tl::unexpected<Error> failed(const char* what, const std::string& path) {
  return fail(ErrorKind::kIo, fmt::format("cannot {} '{}': {}", what, path, std::strerror(errno)));
}

// The entries of a page; fewer on the last one. Nothing when it is damaged.
bool read_page(int fd, std::uint64_t page, std::vector<IdEntry>& out) {
  char bytes[kPageBytes];
  const ssize_t n = ::pread(fd, bytes, sizeof bytes, static_cast<off_t>((page + 1) * kPageBytes));
  out.clear();
  if (n != static_cast<ssize_t>(kPageBytes)) return false;
  const std::string_view body(bytes, kPageBytes - 4);
  if (crc32c(body) != load_le<std::uint32_t>(bytes + body.size())) return false;
  for (std::size_t i = 0; i != kPageEntries; ++i) {
    const IdEntry entry{load_le<std::uint64_t>(bytes + i * kEntryBytes),
                        load_le<std::uint64_t>(bytes + i * kEntryBytes + 8)};
    if (entry.position == 0) break;  // no block begins there
    out.push_back(entry);
  }
  return !out.empty();
}

}  // namespace

bool IdList::add(const IdEntry& entry) {
  if (size_ % kChunkEntries == 0) {
    if (!charge_.try_grow(sizeof(Chunk), 2)) return false;  // half of the account is the requests' own
    chunks_.push_back(std::make_shared<Chunk>());
  }
  (*chunks_.back())[size_++ % kChunkEntries] = entry;
  return true;
}

std::uint64_t hash_of_id(const TraceId& id) { return hash_bytes(id.view(), kSeed); }

std::string ids_path(const std::string& directory, std::uint64_t segment) {
  return fmt::format("{}/{:013}.ids", directory, segment);
}

bool each_id(ByteView otlp, const std::function<void(const TraceId&)>& take) {
  return each_trace(otlp, [&](const TraceId& id, std::uint64_t, std::uint64_t) { take(id); });
}

bool each_trace(ByteView otlp, const std::function<void(const TraceId&, std::uint64_t, std::uint64_t)>& take) {
  static const ScanPlan plan;
  thread_local SpanBatch batch;
  batch.clear();
  batch.hash_seed = kSeed;
  const auto each = [&](const SpanBatch& slice) {
    for (const BatchTrace& trace : slice.traces) take(trace.id, trace.facts.spans, trace.facts.bytes);
    return true;
  };
  const ScanResult scan = scan_request(otlp, plan, batch, each);
  if (scan.ok) each(batch);
  return scan.ok;
}

// A header page (magic, number of entries, checksum), then the pages.
Result<std::uint64_t> write_ids(const std::string& path, std::vector<IdEntry> entries) {
  std::sort(entries.begin(), entries.end());
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  std::string out(kMagic);
  append_le(out, static_cast<std::uint64_t>(entries.size()));
  append_le(out, crc32c(out));
  out.resize(kPageBytes);
  for (std::size_t at = 0; at < entries.size(); at += kPageEntries) {
    const std::size_t begin = out.size();
    for (std::size_t i = at; i != std::min(entries.size(), at + kPageEntries); ++i) {
      append_le(out, entries[i].hash);
      append_le(out, entries[i].position);
    }
    out.resize(begin + kPageBytes - 4);
    append_le(out, crc32c(std::string_view(out).substr(begin)));
  }
  if (auto done = replace_file(path, out, {.mode = kFileMode, .sync = false}); !done)
    return tl::unexpected(done.error());
  return out.size();
}

Result<std::vector<std::uint64_t>> find_ids(const std::string& path, std::uint64_t hash) {
  const auto damaged = [&] { return fail(ErrorKind::kBadInput, fmt::format("the index '{}' is damaged", path)); };
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return failed("open", path);
  char head[kMagic.size() + 12];
  if (::pread(file.fd, head, sizeof head, 0) != static_cast<ssize_t>(sizeof head)) return damaged();
  const std::string_view bytes(head, sizeof head);
  if (!bytes.starts_with(kMagic) ||
      crc32c(bytes.substr(0, sizeof head - 4)) != load_le<std::uint32_t>(head + sizeof head - 4))
    return damaged();
  const auto count = load_le<std::uint64_t>(head + kMagic.size());
  struct stat s = {};
  const std::uint64_t pages = count / kPageEntries + (count % kPageEntries != 0);
  if (::fstat(file.fd, &s) != 0 || count > static_cast<std::uint64_t>(s.st_size) ||
      static_cast<std::uint64_t>(s.st_size) != (pages + 1) * kPageBytes)
    return damaged();
  std::vector<std::uint64_t> out;
  if (pages == 0) return out;
  // From where it has to be back to where smaller ones are, then on to where larger ones are.
  __extension__ using Wide = unsigned __int128;
  auto page = static_cast<std::uint64_t>(static_cast<Wide>(hash) * pages >> 64);
  std::vector<IdEntry> entries;
  if (!read_page(file.fd, page, entries)) return damaged();
  while (page != 0 && entries.front().hash >= hash) {
    if (!read_page(file.fd, --page, entries)) return damaged();
  }
  for (;;) {
    for (const IdEntry& entry : entries) {
      if (entry.hash == hash) out.push_back(entry.position);
    }
    if (entries.back().hash > hash || ++page == pages) return out;
    if (!read_page(file.fd, page, entries)) return damaged();
  }
}

}  // namespace tailgate
