// ScanPlan: what the loaded policies want to know of each span, so that the scanner decodes that and nothing else.
//
// Policies register predicates; each is a bit. A predicate is asked once per resource and once per span, while the bytes
// are hot, and the answers are or-ed into the trace's words. A plan never changes once built: threads share it freely.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace tailgate {

enum class StatusCode : std::int32_t { kUnset = 0, kOk = 1, kError = 2 };

// One span as the scanner saw it. Views into the request; valid during the call they are passed to.
struct SpanFields {
  ByteView trace_id, span_id, parent_span_id, trace_state, name;
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
  std::int32_t kind = 0;
  std::int32_t status_code = 0;
  std::uint32_t flags = 0;
  // attributes[i]: content of the first KeyValue whose key is plan.attribute_keys[i]; data() is null when there is none.
  const ByteView* attributes = nullptr;

  bool has_parent() const;  // a non-empty parent id that is not all zero
};

// The value of a KeyValue, when it is a string; last field of the oneof wins. Empty for other types and malformed bytes.
std::optional<ByteView> string_value(ByteView key_value);

class SpanPredicate {
 public:
  virtual ~SpanPredicate() = default;
  // `attributes` are the resource's, in the slots of plan.attribute_keys. True: true for every span of the resource.
  virtual bool on_resource(const ByteView* attributes) const = 0;
  virtual bool on_span(const SpanFields& span) const = 0;
};

class ScanPlan {
 public:
  std::vector<std::unique_ptr<SpanPredicate>> predicates;  // index: the bit
  std::uint32_t epoch = 0;

  std::size_t words() const { return words_; }
  const std::vector<std::string>& attribute_keys() const { return keys_; }

  // The slot that will hold the attribute `key`; the same key gives the same slot.
  std::size_t attribute_slot(std::string_view key);
  // Adds a predicate and gives its bit.
  std::size_t add(std::unique_ptr<SpanPredicate> predicate);

  // The slot of `key`, or -1. Most keys are told off by their length and first byte alone.
  int find_slot(ByteView key) const { return maybe_slot(key) ? find_slot_slow(key) : -1; }
  bool maybe_slot(ByteView key) const {
    return (length_mask_ >> (key.size() & 63) & 1) != 0 &&
           (key.empty() || (first_mask_ >> (static_cast<std::uint8_t>(key[0]) & 63) & 1) != 0);
  }
  bool wants_attributes() const { return !keys_.empty(); }

 private:
  int find_slot_slow(ByteView key) const;

  std::vector<std::string> keys_;
  std::uint64_t length_mask_ = 0;  // bit n: some key has a length of n modulo 64
  std::uint64_t first_mask_ = 0;   // bit n: some key begins with a byte of n modulo 64
  std::size_t words_ = 1;
};

}  // namespace tailgate
