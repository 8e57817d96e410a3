// SPDX-License-Identifier: Apache-2.0
// OpenTrace: one undecided trace in pieces of the ChunkPool. The header lies at the start of the trace's first piece,
// so that a trace is found, appended to and freed without any other allocation.
//
//   first piece                                        further pieces
//   [ OpenTrace | words | list, inline | payload ]     [ payload ]  [ payload ]  ...
//
//   payload  records, one after another, across pieces; each is a span:
//     varint                n << 3 | cut << 1 | new
//     4 bytes, if new       the number of its prefix (PrefixTable); else the prefix is that of the record before
//     n bytes               of the Span message, without its trace_id where `cut` (IdCut) says so
//   Every span of a trace repeats its trace id: 18 bytes, which are not stored where they are the first or the last of
//   the message, as all known writers have them. gather_payload() puts them back, so the bytes are those that came.
//   list     in the order of arrival, what is known about the spans, and where their bytes went on:
//     odd key                     a span's link: hash of its id, hash of its parent's id (0: none)
//     even key                    a further piece of the payload: twice its size class, its reference
//   What does not fit in the first piece stands in pieces of the list's own: [ previous piece | its class | entries ]
//
// A piece is as large as what the request at hand still has for this trace, up to 4 KiB, so a trace that comes in one
// request leaves less than 64 bytes unused. Where spans come one by one, pieces grow to a sixteenth of the trace.
//
// Threads: the holder of the shard's lock; a closed trace is read without it (closed_trace.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "buffer/chunk_pool.h"
#include "model/ids.h"
#include "model/trace_facts.h"

namespace tailgate {

struct SpanLink {
  std::uint32_t id;      // odd, as the scan's hashes are
  std::uint32_t parent;  // odd, or 0: none
};
struct TraceEntry {  // of the list above
  std::uint32_t key;
  std::uint32_t value;
  bool is_link() const { return (key & 1) != 0; }
  Chunk piece() const { return {value, static_cast<SizeClass>(key / 2)}; }
};
inline constexpr std::size_t kTraceWordsMax = 6;  // 384 predicates, less 64 for each counter
inline constexpr std::uint32_t kNoPrefix = UINT32_MAX;

struct OpenTrace {
  TraceId id;
  [[no_unique_address]] TraceFacts facts;  // 33 bytes
  std::uint8_t words;                      // of the ScanPlan, that follow the header
  std::uint8_t inline_entries;             // of the list, that follow them
  std::uint8_t shed_step;                  // of the threshold new traces had to pass when this one was opened
  SizeClass tail_class;                    // of the piece being filled
  SizeClass first_class : 4;
  bool waits_for_parent : 1;  // found unlinked; looked at again when a span comes
  bool mixed_origins : 1;     // spans of another origin than its own came, too
  std::uint16_t tail_used;    // where the next payload byte goes in the tail, bytes from its start
  std::uint16_t wheel_slot;
  std::uint16_t entries_room;       // free places in the newest piece of the list, or inline
  std::uint32_t first_ms;           // arrival of the first and the last span, milliseconds of the buffer's own clock;
  std::uint32_t last_ms;            // they wrap after 49 days and are compared by difference
  std::uint32_t due_ms;             // when the wheel will look at this trace
  ChunkRef wheel_next, wheel_prev;  // kNoChunk at the ends
  ChunkRef tail;                    // piece being filled
  ChunkRef entries_head;            // newest piece of the list; kNoChunk: all of it is inline
  std::uint32_t units;              // of kChunkUnit: all pieces of this trace
  std::uint32_t last_prefix;        // of the record written last; kNoPrefix forces one
  std::uint32_t epoch;              // of the PolicySet whose predicates were asked; kMixedEpochs if several
  std::uint32_t interval;           // JudgedTrace::interval: the one this trace waits for the end of; 0: none
  std::uint32_t root_name;          // service and name of the root, NameTable number; 0: no root yet
  std::uint16_t origin;             // SpanOrigin of the spans that opened it

  static constexpr std::uint32_t kMixedEpochs = UINT32_MAX;

  std::uint64_t* word_array() { return reinterpret_cast<std::uint64_t*>(this + 1); }
  TraceEntry* inline_list() { return reinterpret_cast<TraceEntry*>(word_array() + words); }
  const TraceEntry* inline_list() const { return const_cast<OpenTrace*>(this)->inline_list(); }
  std::size_t header_bytes() const { return sizeof(OpenTrace) + words * 8u + inline_entries * sizeof(TraceEntry); }
  // Bytes of pool memory this trace takes.
  std::size_t pool_bytes() const { return units * kChunkUnit; }
};
static_assert(sizeof(OpenTrace) == 112);
inline constexpr std::size_t kHeaderTypical = 192;  // bytes, with words and entries: what is worth loading ahead

// Makes a trace in a new piece, which has room for spans of `bytes` bytes in all as far as a piece can. Never kNoChunk:
// the caller has charged the budget, and the region is as large.
ChunkRef open_trace(LocalChunks& chunks, const TraceId& id, std::uint32_t now_ms, std::uint32_t epoch,
                    std::size_t words, std::size_t bytes, std::size_t spans);

// What the records of `spans` spans of `bytes` bytes in all take, about.
std::size_t record_bytes(std::size_t bytes, std::size_t spans);

// Appends the record of a span under prefix `prefix` and its link; takes pieces as needed. `coming`: record_bytes() of
// what is still to come of the request at hand for this trace, this span included; counted down.
void append_span(LocalChunks& chunks, OpenTrace& trace, ByteView span, std::uint32_t prefix, SpanLink link,
                 std::size_t& coming);

// An upper bound of what appending `spans` spans of `bytes` bytes in all can take from the pool, a new trace included.
std::size_t pool_bytes_bound(std::size_t bytes, std::size_t spans);

// Copies the links of a trace's spans, in the order of arrival.
void read_links(const ChunkPool& pool, const OpenTrace& trace, std::vector<SpanLink>& out);

// Copies the payload of a trace into one run of bytes, all spans whole, for for_each_span(): u32 prefix, u32 size,
// span.
void gather_payload(const ChunkPool& pool, const OpenTrace& trace, std::string& out);

// Gives all pieces of a trace back.
void free_trace(LocalChunks& chunks, ChunkRef trace);

// Walks a gathered payload and calls `on_span(prefix_id, span)` for each.
template <class OnSpan>
void for_each_span(ByteView payload, OnSpan&& on_span) {
  const char* p = payload.data();
  const char* const end = p + payload.size();
  while (p != end) {
    const auto prefix = load_le<std::uint32_t>(p);
    const auto size = load_le<std::uint32_t>(p + 4);
    p += 8;
    on_span(prefix, ByteView(p, size));
    p += size;
  }
}

}  // namespace tailgate
