// SPDX-License-Identifier: Apache-2.0
// OpenTrace: one undecided trace in pieces of the ChunkPool. The header lies at the start of the trace's first piece,
// so that a trace is found, appended to and freed without any other allocation.
//
//   first piece (small)                       further pieces
//   [ OpenTrace | 8 links | words | payload ][next] -> [ payload ][next] -> ... the first 2 KiB small, then large ones
//
//   payload  records, one after another, across pieces:
//     varint(n << 1)              n bytes of a Span message, under the prefix of the record before it
//     varint(n << 1 | 1)          u32 prefix id (PrefixTable), then n bytes of a Span message
//   links    pairs of u32: hash of the span's id and of its parent's (0: none); beyond 8 in small pieces of 31
//
// Threads: the holder of the shard's lock; a closed trace is read without it (closed_trace.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/invariant.h"
#include "buffer/chunk_pool.h"
#include "codec/protobuf.h"
#include "model/ids.h"
#include "model/trace_facts.h"

namespace tailgate {

struct SpanLink {
  std::uint32_t id;
  std::uint32_t parent;
};
inline constexpr std::size_t kInlineLinks = 8;
inline constexpr std::size_t kLinksPerPiece = (kChunkUnit - 4) / sizeof(SpanLink);
inline constexpr std::size_t kTraceWordsMax = 6;  // 384 predicates, less 64 for each counter
inline constexpr std::uint32_t kNoPrefix = UINT32_MAX;

struct OpenTrace {
  TraceId id;
  TraceFacts facts;                 // 40 bytes
  std::uint32_t first_ms;           // arrival of the first and the last span, milliseconds of the buffer's own clock;
  std::uint32_t last_ms;            // they wrap after 49 days and are compared by difference
  std::uint32_t due_ms;             // when the wheel will look at this trace
  ChunkRef wheel_next, wheel_prev;  // kNoChunk at the ends
  ChunkRef tail;                    // piece being filled
  std::uint16_t tail_used, tail_size;  // payload end in it and where its payload must end, bytes from its start
  ChunkRef small_tail, large_head;     // where the small pieces end and the large ones begin
  std::uint32_t small_count, large_count;
  ChunkRef links_head, links_tail;  // newest and oldest piece of links beyond the inline ones
  std::uint32_t payload_bytes;
  std::uint32_t last_prefix;  // of the record written last; kNoPrefix forces one
  std::uint32_t epoch;        // of the PolicySet whose predicates were asked; kMixedEpochs if several
  std::uint32_t interval;     // JudgedTrace::interval: the one this trace waits for the end of; 0: none
  std::uint32_t root_name;    // service and name of the root, NameTable number; 0: no root yet
  std::uint16_t wheel_slot;
  std::uint8_t words;      // of the ScanPlan, that follow the links
  std::uint8_t shed_step;  // of the threshold new traces had to pass when this one was opened
  bool mixed : 1;          // a small piece stands among the large ones
  bool tail_large : 1;
  bool waits_for_parent : 1;  // found unlinked; looked at again when a span comes

  static constexpr std::uint32_t kMixedEpochs = UINT32_MAX;

  SpanLink* links() { return reinterpret_cast<SpanLink*>(this + 1); }
  std::uint64_t* word_array() { return reinterpret_cast<std::uint64_t*>(links() + kInlineLinks); }
  std::size_t header_bytes() const { return sizeof(OpenTrace) + kInlineLinks * sizeof(SpanLink) + words * 8u; }

  // Pieces of links beyond the inline ones.
  std::uint32_t link_pieces() const {
    constexpr auto kInline = static_cast<std::uint32_t>(kInlineLinks);
    constexpr auto kPerPiece = static_cast<std::uint32_t>(kLinksPerPiece);
    return facts.spans <= kInline ? 0 : (facts.spans - kInline + kPerPiece - 1) / kPerPiece;
  }
  // Bytes of pool memory this trace takes.
  std::size_t pool_bytes() const { return (small_count + link_pieces()) * kChunkUnit + large_count * kLargeChunk; }
};
static_assert(sizeof(OpenTrace) % 8 == 0);
static_assert(sizeof(OpenTrace) + kInlineLinks * sizeof(SpanLink) + kTraceWordsMax * 8 + 4 <= kChunkUnit);

// Makes a trace in a new small piece. Never kNoChunk: the caller has charged the budget, and the region is as large.
ChunkRef open_trace(LocalChunks& chunks, const TraceId& id, std::uint32_t now_ms, std::uint32_t epoch,
                    std::size_t words);

// Appends payload bytes; takes pieces as needed.
void append_bytes(LocalChunks& chunks, OpenTrace& trace, const char* bytes, std::size_t size);

// Notes the ids of the trace's next span; call before facts.spans counts it.
void append_link(LocalChunks& chunks, OpenTrace& trace, SpanLink link);

// An upper bound of what appending `spans` spans of `bytes` bytes in all can take from the pool, a new trace included.
std::size_t pool_bytes_bound(std::size_t bytes, std::size_t spans);

// Copies the links of a trace's spans, in the order of arrival.
void read_links(const ChunkPool& pool, OpenTrace& trace, std::vector<SpanLink>& out);

// Copies the payload of a trace into one run of bytes.
void gather_payload(const ChunkPool& pool, const OpenTrace& trace, std::string& out);

// Gives all pieces of a trace back.
void free_trace(LocalChunks& chunks, ChunkRef trace);

// Walks the records of a gathered payload and calls `on_span(prefix_id, span)` for each.
template <class OnSpan>
void for_each_span(ByteView payload, OnSpan&& on_span) {
  const char* p = payload.data();
  const char* const end = p + payload.size();
  std::uint32_t prefix = kNoPrefix;
  while (p < end) {
    std::uint64_t head = 0;
    INVARIANT(pb::read_varint(p, end, head));  // our own bytes
    if ((head & 1) != 0) {
      std::memcpy(&prefix, p, 4);
      p += 4;
    }
    const auto size = static_cast<std::size_t>(head >> 1);
    INVARIANT(prefix != kNoPrefix && size <= static_cast<std::size_t>(end - p));
    on_span(prefix, ByteView(p, size));
    p += size;
  }
}

}  // namespace tailgate
