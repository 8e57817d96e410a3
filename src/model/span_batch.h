// SPDX-License-Identifier: Apache-2.0
// SpanBatch: the spans of one request (or of one slice of a very large one), found in its bytes and grouped by trace.
//
// Everything points into the request's bytes: a batch must not outlive them. Only TraceBuffer::add keeps bytes, by
// copying. A batch belongs to one I/O thread and is cleared and filled again for each request, so that a span costs no
// allocation once the vectors have grown.
//
//   groups[]   one per ScopeSpans: the resource and scope bytes its spans share
//   traces[]   one per trace id; heads a list through spans[].next, in the order of arrival
//   spans[]
//   words[]    traces.size() * words_per_trace words: predicate bits and counters as the ScanPlan lays them out
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "model/ids.h"
#include "model/trace_facts.h"

namespace tailgate {

inline constexpr std::uint32_t kNoIndex = UINT32_MAX;

// The receiver and format of a request, as an index into telemetry's table of sources.
using SourceId = std::uint16_t;
// Whence spans came that can be read there again, such as a partition of a topic; 0: from nowhere of this kind.
using SpanOrigin = std::uint16_t;

struct ScopeGroup {
  ByteView resource;       // fields of ResourceSpans without scope_spans: resource, schema_url, unknown ones, with tags
  ByteView scope;          // fields of ScopeSpans without spans: scope, schema_url, unknown ones, with tags
  std::uint64_t hash = 0;  // of both
  std::uint32_t resource_index = 0;  // of the ResourceSpans in the request
};

struct BatchSpan {
  const char* data;           // content of the Span message, without tag and length
  std::uint32_t size;         // bytes
  std::uint32_t group;        // index in groups
  std::uint32_t next;         // next span of the same trace, or kNoIndex
  std::uint32_t id_hash;      // seeded hash of the span's id, odd
  std::uint32_t parent_hash;  // the same of the parent's id; 0: no parent
};

struct BatchTrace {
  TraceId id;
  std::uint64_t hash = 0;  // seeded, of all 16 bytes
  std::uint32_t first = kNoIndex;
  std::uint32_t last = kNoIndex;
  std::uint32_t root_group = kNoIndex;  // of its first root in this batch
  ByteView root_name;                   // span name of that root
  TraceFacts facts;
};

class SpanBatch {
 public:
  std::vector<ScopeGroup> groups;
  std::vector<BatchSpan> spans;
  std::vector<BatchTrace> traces;
  std::vector<std::uint64_t> words;
  std::size_t words_per_trace = 0;
  std::uint32_t policy_epoch = 0;   // which PolicySet's predicates were asked
  std::uint64_t hash_seed = 0;      // constant for the process
  std::uint64_t now_unix_ns = 0;    // when the request arrived
  std::uint64_t request = 0;        // its number in the journal; 0: there is none
  SpanOrigin origin = 0;            // of all of its spans
  std::deque<std::string> scratch;  // prefix bytes that were not contiguous in the request

  // Forgets the content, keeps the memory.
  void clear();

  // The entry of `id`, made if it is new. Cost: one probe of a table that fits in cache.
  std::uint32_t trace_index(const TraceId& id);

  // Takes those traces out for which `gone` is true. trace_index() must not be called any more.
  template <class F>
  void remove_traces(F&& gone) {
    std::size_t kept = 0;
    for (std::size_t t = 0; t != traces.size(); ++t) {
      if (gone(traces[t].id)) continue;
      if (kept != t) {
        traces[kept] = traces[t];
        for (std::size_t w = 0; w != words_per_trace; ++w)
          words[kept * words_per_trace + w] = words[t * words_per_trace + w];
      }
      ++kept;
    }
    if (kept != traces.size()) table_.clear();
    traces.resize(kept);
    words.resize(kept * words_per_trace);
  }

  std::uint64_t* words_of(std::uint32_t trace) { return words.data() + trace * words_per_trace; }
  const std::uint64_t* words_of(std::uint32_t trace) const { return words.data() + trace * words_per_trace; }

 private:
  void grow_table();

  std::vector<std::uint32_t> table_;  // open addressing, a power of two; kNoIndex is empty
};

}  // namespace tailgate
