// SPDX-License-Identifier: Apache-2.0
#include "buffer/open_trace.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/invariant.h"
#include "codec/protobuf.h"

namespace tailgate {
namespace {

// A trace that comes in one request needs an entry for each span and some for its pieces; more are not worth their
// place, because they cost each further line of memory that closing a trace reads.
constexpr std::size_t kInlineEntriesMin = 3;
constexpr std::size_t kInlineEntriesMax = 14;
constexpr std::size_t kListPieceMax = 512;  // bytes
// A piece is not smaller than this part of its trace.
constexpr std::size_t kGrowth = 16;
// A first piece is never too small for the header: a smaller one has fewer places for the list.
static_assert(sizeof(OpenTrace) + kTraceWordsMax * 8 <= kChunkMin);

// At the start of a piece of the list.
struct ListPiece {
  ChunkRef previous;  // kNoChunk: the entries before these are inline
  std::uint32_t size_class;
  TraceEntry* entries() { return reinterpret_cast<TraceEntry*>(this + 1); }
  const TraceEntry* entries() const { return reinterpret_cast<const TraceEntry*>(this + 1); }
  Chunk chunk(ChunkRef ref) const { return {ref, static_cast<SizeClass>(size_class)}; }
  static std::size_t capacity(SizeClass size) { return (class_bytes(size) - sizeof(ListPiece)) / sizeof(TraceEntry); }
};

// Calls `on_run(entries, count)` for each run of the trace's list, the newest first, and `on_piece(chunk)` for the
// pieces of the list itself, after their entries were read.
template <class OnRun, class OnPiece>
void walk_list(const ChunkPool& pool, const OpenTrace& trace, OnRun&& on_run, OnPiece&& on_piece) {
  ChunkRef ref = trace.entries_head;
  std::size_t unused = trace.entries_room;
  while (ref != kNoChunk) {
    const auto& piece = *reinterpret_cast<const ListPiece*>(pool.at(ref));
    on_run(piece.entries(), ListPiece::capacity(piece.chunk(ref).size) - unused);
    unused = 0;
    const ChunkRef previous = piece.previous;
    on_piece(piece.chunk(ref));
    ref = previous;
  }
  on_run(trace.inline_list(), trace.inline_entries - unused);
}

Chunk take(LocalChunks& chunks, std::size_t bytes) {
  const Chunk chunk = chunks.take(class_for(std::min(bytes, kChunkMax)));
  INVARIANT(chunk.ref != kNoChunk);
  return chunk;
}

void append_entry(LocalChunks& chunks, OpenTrace& trace, TraceEntry entry) {
  TraceEntry* entries = trace.inline_list();
  std::size_t capacity = trace.inline_entries;
  if (trace.entries_head != kNoChunk) {
    auto& piece = *reinterpret_cast<ListPiece*>(chunks.at(trace.entries_head));
    entries = piece.entries();
    capacity = ListPiece::capacity(static_cast<SizeClass>(piece.size_class));
  }
  if (trace.entries_room == 0) {
    // Each a little larger than the one before.
    const Chunk chunk = take(chunks, std::min(capacity * sizeof(TraceEntry) + kChunkUnit, kListPieceMax));
    auto& piece = *new (chunks.at(chunk.ref)) ListPiece{trace.entries_head, chunk.size};
    trace.entries_head = chunk.ref;
    trace.units += kClassUnits[chunk.size];
    entries = piece.entries();
    capacity = ListPiece::capacity(chunk.size);
    trace.entries_room = static_cast<std::uint16_t>(capacity);
  }
  entries[capacity - trace.entries_room--] = entry;
}

void add_piece(LocalChunks& chunks, OpenTrace& trace, std::size_t coming) {
  const Chunk piece = take(chunks, std::max(coming, trace.pool_bytes() / kGrowth));
  append_entry(chunks, trace, {piece.size * 2u, piece.ref});
  trace.units += kClassUnits[piece.size];
  trace.tail = piece.ref;
  trace.tail_class = piece.size;
  trace.tail_used = 0;
}

void append_bytes(LocalChunks& chunks, OpenTrace& trace, const char* bytes, std::size_t size, std::size_t& coming) {
  while (size != 0) {
    std::size_t room = class_bytes(trace.tail_class) - trace.tail_used;
    if (room == 0) {
      add_piece(chunks, trace, std::max(coming, size));
      room = class_bytes(trace.tail_class);
    }
    const std::size_t n = std::min(size, room);
    std::memcpy(chunks.at(trace.tail) + trace.tail_used, bytes, n);
    trace.tail_used = static_cast<std::uint16_t>(trace.tail_used + n);
    bytes += n;
    size -= n;
    coming -= std::min(coming, n);
  }
}

// Where a span's trace_id field was left out of its record.
enum class IdCut : std::uint8_t { kNot, kFirst, kLast };
constexpr char kIdHead[] = {0x0a, 16};  // field 1, 16 bytes
constexpr std::size_t kIdField = sizeof kIdHead + 16;

bool is_id_field(const char* at, const TraceId& id) {
  const char* const value = at + sizeof kIdHead;
  const char* const own = id.view().data();
  return load_le<std::uint16_t>(at) == load_le<std::uint16_t>(kIdHead) &&
         load_le<std::uint64_t>(value) == load_le<std::uint64_t>(own) &&
         load_le<std::uint64_t>(value + 8) == load_le<std::uint64_t>(own + 8);
}

IdCut id_cut(ByteView span, const TraceId& id) {
  if (span.size() < kIdField) return IdCut::kNot;
  if (is_id_field(span.data(), id)) return IdCut::kFirst;
  return is_id_field(span.data() + span.size() - kIdField, id) ? IdCut::kLast : IdCut::kNot;
}

char* put_id(char* to, const TraceId& id) {
  std::memcpy(to, kIdHead, sizeof kIdHead);
  std::memcpy(to + sizeof kIdHead, id.view().data(), 16);
  return to + kIdField;
}

// Reads the payload of a trace across its pieces.
class PayloadReader {
 public:
  PayloadReader(const ChunkPool& pool, const OpenTrace& trace)
      : pool_(pool), at_(reinterpret_cast<const char*>(&trace) + trace.header_bytes()) {
    end_ = reinterpret_cast<const char*>(&trace) + class_bytes(trace.first_class);
    const auto note = [&](const TraceEntry* entries, std::size_t count) {
      while (count-- != 0) {
        if (!entries[count].is_link()) pieces_.push_back(entries[count].piece());
      }
    };
    pieces_.clear();
    walk_list(pool, trace, note, [](Chunk) {});
  }

  void read(char* to, std::size_t size) {
    while (size != 0) {
      if (at_ == end_) next_piece();
      const std::size_t n = std::min(size, static_cast<std::size_t>(end_ - at_));
      std::memcpy(to, at_, n);
      at_ += n;
      to += n;
      size -= n;
    }
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      if (at_ == end_) next_piece();
      const auto byte = static_cast<std::uint8_t>(*at_++);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

 private:
  void next_piece() {
    INVARIANT(!pieces_.empty());
    at_ = pool_.at(pieces_.back().ref);
    end_ = at_ + class_bytes(pieces_.back().size);
    pieces_.pop_back();
  }

  static thread_local std::vector<Chunk> pieces_;  // that are still to come, the last one first
  const ChunkPool& pool_;
  const char* at_;
  const char* end_;
};
thread_local std::vector<Chunk> PayloadReader::pieces_;

}  // namespace

std::size_t record_bytes(std::size_t bytes, std::size_t spans) {
  // A record's head has two bytes for most spans, and one of them names its prefix.
  const std::size_t with_ids = bytes + 2 * spans + bytes / 2048 + 4;
  return with_ids - std::min(with_ids, kIdField * spans);
}

ChunkRef open_trace(LocalChunks& chunks, const TraceId& id, std::uint32_t now_ms, std::uint32_t epoch,
                    std::size_t words, std::size_t bytes, std::size_t spans) {
  INVARIANT(words <= kTraceWordsMax);
  const std::size_t fixed = sizeof(OpenTrace) + words * 8;
  const std::size_t payload = record_bytes(bytes, spans);
  // An entry for each span, and up to three for the pieces that these bytes take after the first one.
  const std::size_t pieces = std::min<std::size_t>((fixed + payload) / 512, 3);
  const std::size_t list = std::clamp(spans + pieces, kInlineEntriesMin, kInlineEntriesMax);
  const Chunk piece = take(chunks, fixed + list * sizeof(TraceEntry) + payload);
  const std::size_t inline_entries = std::min(list, (class_bytes(piece.size) - fixed) / sizeof(TraceEntry));
  OpenTrace& trace = *new (chunks.at(piece.ref)) OpenTrace;
  trace.id = id;
  trace.words = static_cast<std::uint8_t>(words);
  trace.inline_entries = static_cast<std::uint8_t>(inline_entries);
  trace.shed_step = 0;
  trace.first_class = piece.size & 15;
  trace.tail_class = piece.size;
  trace.waits_for_parent = false;
  trace.mixed_origins = false;
  trace.wheel_slot = 0;
  trace.first_ms = trace.last_ms = trace.due_ms = now_ms;
  trace.wheel_next = trace.wheel_prev = kNoChunk;
  trace.tail = piece.ref;
  trace.entries_head = kNoChunk;
  trace.entries_room = trace.inline_entries;
  trace.units = kClassUnits[piece.size];
  trace.last_prefix = kNoPrefix;
  trace.epoch = epoch;
  trace.interval = 0;
  trace.root_name = 0;
  trace.origin = 0;
  std::fill_n(trace.word_array(), words, 0);
  trace.tail_used = static_cast<std::uint16_t>(trace.header_bytes());
  return piece.ref;
}

void append_span(LocalChunks& chunks, OpenTrace& trace, ByteView span, std::uint32_t prefix, SpanLink link,
                 std::size_t& coming) {
  const IdCut cut = id_cut(span, trace.id);
  if (cut == IdCut::kFirst) span.remove_prefix(kIdField);
  if (cut == IdCut::kLast) span.remove_suffix(kIdField);
  const bool is_new = prefix != trace.last_prefix;
  trace.last_prefix = prefix;
  char head[14];
  char* p = pb::write_varint(
      head, static_cast<std::uint64_t>(span.size()) << 3 | static_cast<std::uint64_t>(cut) << 1 | (is_new ? 1 : 0));
  std::memcpy(p, &prefix, 4);
  if (is_new) p += 4;
  append_bytes(chunks, trace, head, static_cast<std::size_t>(p - head), coming);
  append_bytes(chunks, trace, span.data(), span.size(), coming);
  append_entry(chunks, trace, {link.id, link.parent});
}

std::size_t pool_bytes_bound(std::size_t bytes, std::size_t spans) {
  // The worst case: a record's head and prefix id take 9 bytes, all pieces are of the smallest size and each has an
  // entry, as the list's own have; a payload piece and a piece of the list have just begun, both larger than wanted.
  constexpr std::size_t kEntry = sizeof(TraceEntry) + 1;  // with its part of the start of a piece of the list
  const std::size_t payload = bytes + spans * 9 + sizeof(OpenTrace) + kTraceWordsMax * 8;
  return payload + (payload / kChunkMin + spans + 2) * kEntry + kInlineEntriesMax * sizeof(TraceEntry) + kChunkMax +
         1024;
}

void read_links(const ChunkPool& pool, const OpenTrace& trace, std::vector<SpanLink>& out) {
  out.resize(trace.facts.spans);
  auto at = out.end();
  const auto copy = [&](const TraceEntry* entries, std::size_t count) {
    while (count-- != 0) {
      if (!entries[count].is_link()) continue;
      INVARIANT(at != out.begin());
      *--at = {entries[count].key, entries[count].value};
    }
  };
  walk_list(pool, trace, copy, [](Chunk) {});
  INVARIANT(at == out.begin());
}

void gather_payload(const ChunkPool& pool, const OpenTrace& trace, std::string& out) {
  PayloadReader reader(pool, trace);
  // There is no clear() first: the code below writes all of `out`, and so resize() zeroes only what it grows by.
  out.resize(trace.facts.bytes + 8 * static_cast<std::size_t>(trace.facts.spans));
  char* to = out.data();
  std::uint32_t prefix = kNoPrefix;
  for (std::uint32_t n = 0; n != trace.facts.spans; ++n) {
    const std::uint64_t head = reader.varint();
    if ((head & 1) != 0) reader.read(reinterpret_cast<char*>(&prefix), 4);
    const auto cut = static_cast<IdCut>(head >> 1 & 3);
    const auto stored = static_cast<std::size_t>(head >> 3);
    const auto size = static_cast<std::uint32_t>(stored + (cut != IdCut::kNot ? kIdField : 0));
    INVARIANT(prefix != kNoPrefix && size + 8 <= static_cast<std::size_t>(out.data() + out.size() - to));  // our bytes
    std::memcpy(to, &prefix, 4);
    std::memcpy(to + 4, &size, 4);
    to += 8;
    if (cut == IdCut::kFirst) to = put_id(to, trace.id);
    reader.read(to, stored);
    to += stored;
    if (cut == IdCut::kLast) to = put_id(to, trace.id);
  }
  INVARIANT(to == out.data() + out.size());
}

void free_trace(LocalChunks& chunks, ChunkRef ref) {
  const OpenTrace& trace = *reinterpret_cast<const OpenTrace*>(chunks.at(ref));
  const auto free_pieces = [&](const TraceEntry* entries, std::size_t count) {
    for (const TraceEntry* entry = entries; entry != entries + count; ++entry) {
      if (!entry->is_link()) chunks.give(entry->piece());
    }
  };
  walk_list(chunks.pool(), trace, free_pieces, [&](Chunk piece) { chunks.give(piece); });
  chunks.give({ref, trace.first_class});
}

}  // namespace tailgate
