// SPDX-License-Identifier: Apache-2.0
#include "buffer/open_trace.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace tailgate {
namespace {

// A trace that has outgrown this many small pieces goes on in large ones: 2 KiB, which a short trace does not reach.
constexpr std::uint32_t kSmallPieces = 9;

void set_link(char* piece, bool large, ChunkRef next, bool next_large) {
  const ChunkRef value = next | (next_large ? kLargeBit : 0);
  std::memcpy(piece + (large ? kLargeChunk : kChunkUnit) - 4, &value, 4);
}

ChunkRef get_link(const char* piece, bool large) {
  ChunkRef value;
  std::memcpy(&value, piece + (large ? kLargeChunk : kChunkUnit) - 4, 4);
  return value;
}

void add_piece(LocalChunks& chunks, OpenTrace& trace) {
  bool large = false;
  const bool want_large = trace.small_count >= kSmallPieces;
  const ChunkRef piece = chunks.take(want_large, large);
  INVARIANT(piece != kNoChunk);
  set_link(chunks.at(trace.tail), trace.tail_large, piece, large);
  if (large) {
    if (trace.large_count++ == 0) trace.large_head = piece;
  } else {
    ++trace.small_count;
    if (trace.large_count != 0) {
      trace.mixed = true;
    } else {
      trace.small_tail = piece;
    }
  }
  trace.tail = piece;
  trace.tail_large = large;
  trace.tail_used = 0;
  trace.tail_size = static_cast<std::uint16_t>((large ? kLargeChunk : kChunkUnit) - 4);
}

}  // namespace

ChunkRef open_trace(LocalChunks& chunks, const TraceId& id, std::uint32_t now_ms, std::uint32_t epoch,
                    std::size_t words) {
  const ChunkRef piece = chunks.take_small();
  INVARIANT(piece != kNoChunk);
  INVARIANT(words <= kTraceWordsMax);
  OpenTrace& trace = *new (chunks.at(piece)) OpenTrace;
  trace.id = id;
  trace.first_ms = trace.last_ms = trace.due_ms = now_ms;
  trace.wheel_next = trace.wheel_prev = kNoChunk;
  trace.tail = trace.small_tail = piece;
  trace.large_head = kNoChunk;
  trace.small_count = 1;
  trace.large_count = 0;
  trace.links_head = trace.links_tail = kNoChunk;
  trace.payload_bytes = 0;
  trace.last_prefix = kNoPrefix;
  trace.epoch = epoch;
  trace.interval = 0;
  trace.root_name = 0;
  trace.shed_step = 0;
  trace.wheel_slot = 0;
  trace.words = static_cast<std::uint8_t>(words);
  trace.mixed = trace.tail_large = trace.waits_for_parent = false;
  for (std::size_t i = 0; i < words; ++i) trace.word_array()[i] = 0;
  trace.tail_used = static_cast<std::uint16_t>(trace.header_bytes());
  trace.tail_size = kChunkUnit - 4;
  return piece;
}

void append_bytes(LocalChunks& chunks, OpenTrace& trace, const char* bytes, std::size_t size) {
  trace.payload_bytes += static_cast<std::uint32_t>(size);
  while (size != 0) {
    if (trace.tail_used == trace.tail_size) add_piece(chunks, trace);
    const std::size_t n = std::min<std::size_t>(size, trace.tail_size - trace.tail_used);
    std::memcpy(chunks.at(trace.tail) + trace.tail_used, bytes, n);
    trace.tail_used = static_cast<std::uint16_t>(trace.tail_used + n);
    bytes += n;
    size -= n;
  }
}

void append_link(LocalChunks& chunks, OpenTrace& trace, SpanLink link) {
  const std::size_t n = trace.facts.spans;
  if (n < kInlineLinks) {
    trace.links()[n] = link;
    return;
  }
  const std::size_t slot = (n - kInlineLinks) % kLinksPerPiece;
  if (slot == 0) {
    const ChunkRef piece = chunks.take_small();
    INVARIANT(piece != kNoChunk);
    set_link(chunks.at(piece), false, trace.links_head, false);
    trace.links_head = piece;
    if (trace.links_tail == kNoChunk) trace.links_tail = piece;
  }
  std::memcpy(chunks.at(trace.links_head) + slot * sizeof link, &link, sizeof link);
}

std::size_t pool_bytes_bound(std::size_t bytes, std::size_t spans) {
  // A record's head and prefix id take at most 9 bytes. Worst case in small pieces, plus the first piece, a large piece
  // just begun, and the links.
  const std::size_t payload = bytes + spans * 9;
  const std::size_t links = (spans / kLinksPerPiece + 1) * kChunkUnit;
  return payload + payload / 32 + kChunkUnit + kLargeChunk + links;
}

void read_links(const ChunkPool& pool, OpenTrace& trace, std::vector<SpanLink>& out) {
  const std::size_t n = trace.facts.spans;
  out.resize(n);
  std::memcpy(out.data(), trace.links(), std::min(n, kInlineLinks) * sizeof(SpanLink));
  if (n <= kInlineLinks) return;
  std::size_t at = n;  // pieces hang together from the newest, which may be part full
  std::size_t in_piece = (n - kInlineLinks - 1) % kLinksPerPiece + 1;
  for (ChunkRef piece = trace.links_head; at > kInlineLinks; piece = get_link(pool.at(piece), false)) {
    at -= in_piece;
    std::memcpy(out.data() + at, pool.at(piece), in_piece * sizeof(SpanLink));
    in_piece = kLinksPerPiece;
  }
}

void gather_payload(const ChunkPool& pool, const OpenTrace& trace, std::string& out) {
  out.clear();
  out.reserve(trace.payload_bytes);
  const auto* piece = reinterpret_cast<const char*>(&trace);
  bool large = false;
  std::size_t from = trace.header_bytes();
  std::size_t left = trace.payload_bytes;
  for (;;) {
    const std::size_t n = std::min(left, (large ? kLargeChunk : kChunkUnit) - 4 - from);
    out.append(piece + from, n);
    left -= n;
    if (left == 0) return;
    const ChunkRef next = get_link(piece, large);
    large = (next & kLargeBit) != 0;
    piece = pool.at(next & ~kLargeBit);
    from = 0;
  }
}

void free_trace(LocalChunks& chunks, ChunkRef ref) {
  OpenTrace& trace = *reinterpret_cast<OpenTrace*>(chunks.at(ref));
  if (trace.facts.spans > kInlineLinks) {
    chunks.give(false, {trace.links_head, trace.links_tail, trace.link_pieces()});
  }
  if (!trace.mixed) {
    const ChunkChain large{trace.large_head, trace.tail, trace.large_count};
    const ChunkChain small{ref, trace.small_tail, trace.small_count};
    if (large.count != 0) chunks.give(true, large);
    chunks.give(false, small);
    return;
  }
  // Sizes stand in any order: give the pieces one by one.
  std::uint32_t left = trace.small_count + trace.large_count;
  bool is_large = false;
  ChunkRef piece = ref;
  while (left-- != 0) {
    const ChunkRef next = left != 0 ? get_link(chunks.at(piece), is_large) : kNoChunk;
    chunks.give(is_large, {piece, piece, 1});
    is_large = (next & kLargeBit) != 0;
    piece = next & ~kLargeBit;
  }
}

}  // namespace tailgate
