// SPDX-License-Identifier: Apache-2.0
#include "store/part_record.h"

#include "base/bytes.h"
#include "blocks/format.h"

namespace tailgate {
namespace {

constexpr std::size_t kFixed = 27;
constexpr std::size_t kTextMax = 64 << 10;

void append_text(std::string& out, std::string_view text) {
  text = text.substr(0, kTextMax);
  append_le(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

bool take_text(std::string_view& rest, std::string_view& out) {
  if (rest.size() < 4) return false;
  const auto size = load_le<std::uint32_t>(rest.data());
  if (size > rest.size() - 4) return false;
  out = rest.substr(4, size);
  rest.remove_prefix(4 + size);
  return true;
}

}  // namespace

void append_part_front(std::string& out, const KeptTrace& trace) {
  append_le(out, trace.start_ns);
  append_le(out, trace.end_ns);
  append_le(out, trace.spans);
  append_le(out, trace.errors);
  out.push_back(static_cast<char>(trace.has_root));
  out.push_back(static_cast<char>(trace.late));
  out.push_back(static_cast<char>(trace.verdict.reason));
  append_text(out, trace.policy);
  append_text(out, trace.root_service);
  append_text(out, trace.root_name);
}

std::optional<PartRecord> read_part(std::string_view bytes) {
  if (bytes.size() < kFixed) return std::nullopt;
  PartRecord part;
  part.start_ns = load_le<std::uint64_t>(bytes.data());
  part.end_ns = load_le<std::uint64_t>(bytes.data() + 8);
  part.spans = load_le<std::uint32_t>(bytes.data() + 16);
  part.errors = load_le<std::uint32_t>(bytes.data() + 20);
  part.has_root = bytes[24] != 0;
  part.late = bytes[25] != 0;
  const auto reason = static_cast<std::uint8_t>(bytes[26]);
  if (reason >= kCloseReasonNames.size()) return std::nullopt;
  part.close_reason = static_cast<CloseReason>(reason);
  std::string_view rest = bytes.substr(kFixed);
  if (!take_text(rest, part.policy) || !take_text(rest, part.root_service) || !take_text(rest, part.root_name)) {
    return std::nullopt;
  }
  part.otlp = rest;
  return part;
}

}  // namespace tailgate
