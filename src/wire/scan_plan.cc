#include "wire/scan_plan.h"

#include <algorithm>

#include "wire/protobuf.h"

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
  // AnyValue's oneof: string 1, bool 2, int 3, double 4, array 5, kvlist 6, bytes 7. Several `value` fields merge, so
  // the last member seen over all of them is the one that is set; a known number with a wrong wire type is unknown.
  constexpr std::uint32_t kMembers[] = {0, pb::kLen, pb::kVarint, pb::kVarint, pb::kFixed64, pb::kLen, pb::kLen, pb::kLen};
  std::optional<ByteView> found;
  const char* p = key_value.data();
  const char* const end = p + key_value.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return std::nullopt;
    if (tag != pb::tag_of(2, pb::kLen)) {
      if (!pb::skip_value(p, end, tag)) return std::nullopt;
      continue;
    }
    ByteView any;
    if (!pb::read_len(p, end, any)) return std::nullopt;
    const char* q = any.data();
    const char* const any_end = q + any.size();
    while (q < any_end) {
      if (!pb::read_tag(q, any_end, tag)) return std::nullopt;
      const std::uint32_t field = tag >> 3;
      if (tag == pb::tag_of(1, pb::kLen)) {
        ByteView text;
        if (!pb::read_len(q, any_end, text)) return std::nullopt;
        found = text;
        continue;
      }
      if (field >= 2 && field <= 7 && (tag & 7) == kMembers[field]) found.reset();
      if (!pb::skip_value(q, any_end, tag)) return std::nullopt;
    }
  }
  return found;
}

std::size_t ScanPlan::attribute_slot(std::string_view key) {
  const auto it = std::find(keys_.begin(), keys_.end(), key);
  if (it != keys_.end()) return static_cast<std::size_t>(it - keys_.begin());
  keys_.emplace_back(key);
  length_mask_ |= 1ULL << (key.size() & 63);
  if (!key.empty()) first_mask_ |= 1ULL << (static_cast<std::uint8_t>(key[0]) & 63);
  return keys_.size() - 1;
}

std::size_t ScanPlan::add(std::unique_ptr<SpanPredicate> predicate) {
  predicates.push_back(std::move(predicate));
  words_ = (predicates.size() + 63) / 64;
  return predicates.size() - 1;
}

int ScanPlan::find_slot_slow(ByteView key) const {
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i] == key) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace tailgate
