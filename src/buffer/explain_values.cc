// SPDX-License-Identifier: Apache-2.0
#include "buffer/explain_values.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "decide/words.h"

namespace tailgate {
namespace {

using Kind = AttributeValue::Kind;

constexpr std::size_t kHeadBytes = 3;
constexpr std::uint8_t kMore = 0xFF;  // in place of the kind: there were more values
static_assert(ExplainValues::kBytes <= UINT8_MAX);

struct Entry {
  std::uint8_t slot, kind;
  ByteView bytes;
};

template <class Take>
void each_entry(const ExplainValues& values, Take take) {
  for (std::size_t at = 0; at < values.size;) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(values.bytes[at + i]); };
    take(Entry{byte(0), byte(1), {values.bytes + at + kHeadBytes, byte(2)}});
    at += kHeadBytes + byte(2);
  }
}

std::string words_of(const Entry& entry) {
  switch (static_cast<Kind>(entry.kind)) {
    case Kind::kString:
      return quoted_words(entry.bytes.size() < ExplainValues::kTextBytes
                              ? std::string(entry.bytes)
                              : cut_words(entry.bytes, entry.bytes.size() - 1));
    case Kind::kBool:
      return load_le<std::uint64_t>(entry.bytes.data()) != 0 ? "true" : "false";
    case Kind::kInt:
      return std::to_string(static_cast<std::int64_t>(load_le<std::uint64_t>(entry.bytes.data())));
    case Kind::kDouble:
      return plain_decimal(std::bit_cast<double>(load_le<std::uint64_t>(entry.bytes.data())), 15);
    case Kind::kArray:
      return "a list";
    case Kind::kMap:
      return "a map";
    case Kind::kBytes:
      return "bytes";
    case Kind::kUnset:
      break;
  }
  return "without a value";
}

}  // namespace

void ExplainValues::add(std::size_t slot, const AttributeValue& value) {
  if (slot > UINT8_MAX) {
    whole = false;
    return;
  }
  char number[sizeof value.bits];
  std::memcpy(number, &value.bits, sizeof number);
  const bool is_number = value.kind == Kind::kBool || value.kind == Kind::kInt || value.kind == Kind::kDouble;
  ByteView wanted = is_number ? ByteView(number, sizeof number) : ByteView();
  if (value.kind == Kind::kString) wanted = value.bytes.substr(0, kTextBytes);
  const auto kind = static_cast<std::uint8_t>(value.kind);
  std::size_t known = 0;
  bool there = false;
  each_entry(*this, [&](const Entry& entry) {
    if (entry.slot != slot) return;
    ++known;
    there |= entry.kind == kMore || (entry.kind == kind && entry.bytes == wanted);
  });
  if (there) return;
  const bool more = known == kOfSlot;
  if (more) wanted = {};
  if (size + kHeadBytes + wanted.size() > kBytes) {
    whole = false;
    return;
  }
  char* const at = bytes + size;
  at[0] = static_cast<char>(slot);
  at[1] = static_cast<char>(more ? kMore : kind);
  at[2] = static_cast<char>(wanted.size());
  if (!wanted.empty()) std::memcpy(at + kHeadBytes, wanted.data(), wanted.size());
  size = static_cast<std::uint8_t>(size + kHeadBytes + wanted.size());
}

std::string ExplainValues::words(std::size_t slot) const {
  std::string out;
  each_entry(*this, [&](const Entry& entry) {
    if (entry.slot != slot) return;
    out += entry.kind == kMore ? " and others" : (out.empty() ? "" : ", ") + words_of(entry);
  });
  return out.empty() && whole ? "on no span" : out;
}

}  // namespace tailgate
