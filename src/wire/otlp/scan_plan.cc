#include "wire/otlp/scan_plan.h"

#include <algorithm>
#include <utility>

#include "codec/protobuf.h"
#include "wire/otlp/tracestate.h"

namespace tailgate {

bool SpanFields::has_parent() const {
  if (parent_span_id.size() == 8) return load_le<std::uint64_t>(parent_span_id.data()) != 0;
  return parent_span_id.find_first_not_of('\0') != ByteView::npos;
}

std::optional<ByteView> string_value(ByteView key_value) {
  // As every SDK writes it: key, then a value that is one string, both shorter than 126 bytes.
  const std::size_t size = key_value.size();
  if (size >= 4 && key_value[0] == 0x0A && static_cast<std::uint8_t>(key_value[1]) < 0x7e) {
    const auto at = static_cast<std::size_t>(2 + key_value[1]);  // of `value`
    if (at + 4 <= size && key_value[at] == 0x12 && key_value[at + 2] == 0x0A && key_value[at + 3] >= 0 &&
        static_cast<std::size_t>(key_value[at + 3]) + at + 4 == size && key_value[at + 1] == key_value[at + 3] + 2) {
      return key_value.substr(at + 4);
    }
  }
  const AttributeValue value = attribute_value(key_value);
  if (value.kind != AttributeValue::Kind::kString) return std::nullopt;
  return value.bytes;
}

AttributeValue attribute_value(ByteView key_value) {
  // AnyValue's oneof: string 1, bool 2, int 3, double 4, array 5, kvlist 6, bytes 7. Several `value` fields merge, so
  // the last member seen over all of them is the one that is set; a known number with a wrong wire type is unknown.
  constexpr std::uint32_t kMembers[] = {0,        pb::kLen, pb::kVarint, pb::kVarint, pb::kFixed64,
                                        pb::kLen, pb::kLen, pb::kLen};
  AttributeValue found;
  const char* p = key_value.data();
  const char* const end = p + key_value.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return {};
    if (tag != pb::tag_of(2, pb::kLen)) {
      if (!pb::skip_value(p, end, tag)) return {};
      continue;
    }
    ByteView any;
    if (!pb::read_len(p, end, any)) return {};
    const char* q = any.data();
    const char* const any_end = q + any.size();
    while (q < any_end) {
      if (!pb::read_tag(q, any_end, tag)) return {};
      const std::uint32_t field = tag >> 3;
      if (field < 1 || field > 7 || (tag & 7) != kMembers[field]) {
        if (!pb::skip_value(q, any_end, tag)) return {};
        continue;
      }
      found = {static_cast<AttributeValue::Kind>(field), 0, {}};
      const bool read = kMembers[field] == pb::kLen      ? pb::read_len(q, any_end, found.bytes)
                        : kMembers[field] == pb::kVarint ? pb::read_varint(q, any_end, found.bits)
                                                         : pb::read_fixed64(q, any_end, found.bits);
      if (!read) return {};
    }
  }
  return found;
}

namespace {

class Randomness final : public SpanCounter {
 public:
  std::uint64_t on_span(const SpanFields& span) const override {
    if (span.trace_state.empty()) return 0;
    const std::optional<std::uint64_t> value = read_ot(span.trace_state).random;
    return value ? *value | 1ULL << 63 : 0;
  }
};

}  // namespace

ScanPlan::ScanPlan() { by_length_.fill(kNoSlot); }

std::size_t ScanPlan::attribute_slot(std::string_view key, Attributes where) {
  const auto it = std::find(keys_.begin(), keys_.end(), key);
  const auto slot = static_cast<std::size_t>(it - keys_.begin());
  if (it == keys_.end()) {
    keys_.emplace_back(key);
    where_.push_back(0);
    same_length_.push_back(std::exchange(by_length_[key.size() & 63], static_cast<std::uint16_t>(slot)));
  }
  where_[slot] |= static_cast<std::uint8_t>(where);
  for (const Attributes side : {Attributes::kOfSpans, Attributes::kOfResources}) {
    if ((static_cast<unsigned>(where) & static_cast<unsigned>(side)) == 0) continue;
    Masks& masks = masks_[side == Attributes::kOfResources];
    masks.length |= 1ULL << (key.size() & 63);
    if (!key.empty()) masks.first |= 1ULL << (static_cast<std::uint8_t>(key[0]) & 63);
  }
  return slot;
}

std::size_t ScanPlan::add(std::unique_ptr<SpanPredicate> predicate, std::string attribute) {
  predicates.push_back(std::move(predicate));
  asked_.push_back(std::move(attribute));
  return predicates.size() - 1;
}

std::size_t ScanPlan::add_sum(std::unique_ptr<SpanCounter> counter) {
  counters_.push_back({std::move(counter), Merge::kSum});
  return counters_.size() - 1;
}

std::size_t ScanPlan::add_first(std::unique_ptr<SpanCounter> counter) {
  counters_.push_back({std::move(counter), Merge::kFirst});
  return counters_.size() - 1;
}

std::size_t ScanPlan::add_request_bytes() {
  if (!request_bytes_) request_bytes_ = add_sum(nullptr);
  return *request_bytes_;
}

std::size_t ScanPlan::add_randomness() {
  if (!randomness_) randomness_ = add_first(std::make_unique<Randomness>());
  return *randomness_;
}

void ScanPlan::merge(std::uint64_t* words, const std::uint64_t* later) const {
  const std::size_t bits = bit_words();
  for (std::size_t i = 0; i < bits; ++i) words[i] |= later[i];
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    std::uint64_t& word = words[bits + i];
    if (counters_[i].merge == Merge::kSum) {
      word += later[bits + i];
    } else if (word == 0) {
      word = later[bits + i];
    }
  }
}

void ScanPlan::count(const SpanFields& span, std::uint64_t* words) const {
  std::uint64_t* word = words + bit_words();
  for (const Counter& counter : counters_) {
    if (counter.counter != nullptr && (counter.merge == Merge::kSum || *word == 0))
      *word += counter.counter->on_span(span);
    ++word;
  }
}

int ScanPlan::find_slot_slow(ByteView key, Attributes where) const {
  for (std::uint16_t i = by_length_[key.size() & 63]; i != kNoSlot; i = same_length_[i]) {
    if (keys_[i] == key) return (where_[i] & static_cast<unsigned>(where)) != 0 ? static_cast<int>(i) : -1;
  }
  return -1;
}

}  // namespace tailgate
