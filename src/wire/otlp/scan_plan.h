// SPDX-License-Identifier: Apache-2.0
// ScanPlan: what the loaded policies ask about each span, so that the scanner decodes that and nothing else.
//
// Policies register predicates; each is a bit. A predicate is asked once per resource and once per span, while the
// bytes are hot in the cache, and the answers are or-ed into the trace's words. A policy that needs more than a bit
// registers a counter, which is a whole word: a sum over the spans, the first answer that is not 0, or the greatest. A
// plan never changes once it is built, so threads share it freely.
//
//   words of a trace: [ predicate bits, bit_words() ][ counters, one word each ]
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "wire/otlp/attribute_value.h"
#include "wire/otlp/schema.h"

namespace tailgate {

class SpanBatch;

// What the spans of one ScopeSpans share. Views into the request; valid during the call they are passed to.
struct SpanContext {
  ByteView resource;  // fields of the ResourceSpans message, with tags; scope_spans may stand among them
  ByteView scope;     // fields of the ScopeSpans message, with tags; spans may stand among them
  const ByteView* resource_attributes = nullptr;  // in the plan's slots, as SpanFields::attributes
  std::uint64_t now_unix_ns = 0;                  // when the request came, our clock
  bool again = false;  // these spans were asked before, and what fails is not counted once more
};

// One span as the scanner saw it. Views into the request; valid during the call they are passed to.
struct SpanFields {
  ByteView trace_id, span_id, parent_span_id, trace_state, name;
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
  std::int32_t kind = 0;
  std::int32_t status_code = 0;
  std::uint32_t flags = 0;
  bool keep_mark = false;  // otlp::span::kKeepMark is there and not 0
  // attributes[i]: content of the first KeyValue whose key is plan.attribute_keys[i]; data() is null when there is
  // none.
  const ByteView* attributes = nullptr;
  ByteView bytes;                        // the Span message
  const SpanContext* context = nullptr;  // set before predicates are asked

  bool has_parent() const;  // a non-empty parent id that is not all zero
};

class SpanPredicate {
 public:
  virtual ~SpanPredicate() = default;
  // `attributes` are the resource's, in the slots of plan.attribute_keys. True: true for every span of the resource.
  virtual bool on_resource(const ByteView* attributes) const = 0;
  virtual bool on_span(const SpanFields& span) const = 0;
};

// Asked about every span; its answers are merged into a word of the trace (ScanPlan::add_sum and its like).
class SpanCounter {
 public:
  virtual ~SpanCounter() = default;
  virtual std::uint64_t on_span(const SpanFields& span) const = 0;
};

// Sees every span that a scan puts into a batch, for what is counted over all spans and not by trace. A request may be
// refused after its scan: wire/span_watch.h. Belongs to one thread at a time; views are good until the request is over.
class SpanWatcher {
 public:
  virtual ~SpanWatcher() = default;
  // The spans that follow have this resource. `attributes` are the resource's, in the slots of the plan.
  virtual void on_resource(const ByteView* attributes) = 0;
  // A span with good ids, in the order of the request. `trace_hash`: of its trace id, one for all of this process.
  virtual void on_span(const SpanFields& span, std::uint64_t trace_hash) = 0;
};

enum class Attributes : std::uint8_t { kOfSpans = 1, kOfResources = 2, kOfBoth = 3 };

class ScanPlan {
 public:
  std::vector<std::unique_ptr<SpanPredicate>> predicates;  // index: the bit
  std::uint32_t epoch = 0;

  ScanPlan();

  // Of this plan, once it is built, and of no other, for those who keep what they found out about a plan. From 1.
  std::uint64_t serial() const { return serial_; }

  std::size_t bit_words() const { return (predicates.size() + 63) / 64; }
  std::size_t words() const { return bit_words() + counters_.size(); }
  const std::vector<std::string>& attribute_keys() const { return keys_; }
  // So many of these, the first, are asked for by policies; the rest by others, who ask after end_keys_of_policies().
  std::size_t keys_of_policies() const { return std::min(keys_.size(), keys_of_policies_); }
  void end_keys_of_policies() { keys_of_policies_ = keys_.size(); }

  // The slot that will hold the attribute `key`; the same key gives the same slot. It is filled only where it was asked
  // for: on spans, resources, or both.
  std::size_t attribute_slot(std::string_view key, Attributes where = Attributes::kOfBoth);
  // Adds a predicate and gives its bit. `attribute` is what it looks at, for people who ask why a trace was kept.
  std::size_t add(std::unique_ptr<SpanPredicate> predicate, std::string attribute = "");
  const std::string& attribute_of(std::size_t bit) const { return asked_[bit]; }

  // Add a word per trace and give its index among the counters: the sum over the spans, modulo 2^64; the first value in
  // order of arrival that is not 0; the greatest value.
  std::size_t add_sum(std::unique_ptr<SpanCounter> counter);
  std::size_t add_first(std::unique_ptr<SpanCounter> counter);
  std::size_t add_greatest(std::unique_ptr<SpanCounter> counter);
  // A sum of another kind: bytes of a TracesData that holds the trace's spans as they were received, each request's
  // resources and scopes with them. The same index for everyone who asks.
  std::size_t add_request_bytes();
  // The trace's explicit randomness (`rv` of `ot` in the W3C tracestate), the first found, with bit 63 set. 0: none.
  std::size_t add_randomness();
  std::optional<std::size_t> request_bytes() const { return request_bytes_; }
  std::optional<std::size_t> randomness() const { return randomness_; }

  // Merges the words of later spans of a trace into those of earlier ones.
  void merge(std::uint64_t* words, const std::uint64_t* later) const;
  // Asks all counters about a span.
  void count(const SpanFields& span, std::uint64_t* words) const;

  // The slot of `key`, or -1. The length and the first byte rule out most keys.
  int find_slot(ByteView key, Attributes where) const {
    return maybe_slot(key, where) ? find_slot_slow(key, where) : -1;
  }
  bool maybe_slot(ByteView key, Attributes where) const {
    const Masks& masks = masks_[where == Attributes::kOfResources];
    return (masks.length >> (key.size() & 63) & 1) != 0 &&
           (key.empty() || (masks.first >> (static_cast<std::uint8_t>(key[0]) & 63) & 1) != 0);
  }
  bool wants_attributes(Attributes where) const { return masks_[where == Attributes::kOfResources].length != 0; }

 private:
  enum class Merge : std::uint8_t { kSum, kFirst, kGreatest };
  struct Counter {
    std::unique_ptr<SpanCounter> counter;  // null: filled by the scanner itself
    Merge merge;
  };
  struct Masks {
    std::uint64_t length = 0;  // bit n: some key has a length of n modulo 64
    std::uint64_t first = 0;   // bit n: some key begins with a byte of n modulo 64
  };
  static constexpr std::uint16_t kNoSlot = UINT16_MAX;

  int find_slot_slow(ByteView key, Attributes where) const;

  std::uint64_t serial_;
  std::vector<std::string> keys_;
  std::size_t keys_of_policies_ = SIZE_MAX;
  std::vector<std::uint8_t> where_;            // of each key
  std::vector<std::uint16_t> same_length_;     // of each key: the next one whose length is the same modulo 64
  std::array<std::uint16_t, 64> by_length_{};  // heads of these chains
  std::array<Masks, 2> masks_;                 // for spans, for resources
  std::vector<std::string> asked_;             // by bit
  std::vector<Counter> counters_;
  std::optional<std::size_t> request_bytes_, randomness_;
};

// Fills the counter request_bytes() of a complete batch, if the plan has it, for policies that count bytes as contrib's
// do: the spans that one request has of a trace, in a TracesData of their own under copies of their resources and
// scopes.
void fill_request_bytes(const ScanPlan& plan, SpanBatch& batch);

}  // namespace tailgate
