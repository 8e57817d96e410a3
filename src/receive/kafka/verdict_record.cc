// SPDX-License-Identifier: Apache-2.0
#include "receive/kafka/verdict_record.h"

namespace tailgate {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHead = 4;
constexpr std::uint8_t kComplete = 1, kChance = 2, kShed = 4;

}  // namespace

void append_verdict_record(std::string& out, const Verdict& verdict, std::string_view words) {
  out.push_back(static_cast<char>(kVersion));
  out.push_back(static_cast<char>(verdict.decision));
  out.push_back(static_cast<char>(verdict.reason));
  out.push_back(static_cast<char>((verdict.complete ? kComplete : 0) | (verdict.chance ? kChance : 0) |
                                  (verdict.shed ? kShed : 0)));
  out += words;
}

std::optional<ReadVerdict> read_verdict_record(ByteView key, ByteView value) {
  const std::optional<TraceId> id = TraceId::from_hex(key);
  if (!id || value.size() < kHead) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(value[i]); };
  if (byte(0) != kVersion || byte(1) >= kDecisionNames.size() || byte(2) >= kCloseReasonNames.size())
    return std::nullopt;
  ReadVerdict out;
  out.id = *id;
  out.verdict.decision = static_cast<Decision>(byte(1));
  out.verdict.reason = static_cast<CloseReason>(byte(2));
  out.verdict.complete = (byte(3) & kComplete) != 0;
  out.verdict.chance = (byte(3) & kChance) != 0;
  out.verdict.shed = (byte(3) & kShed) != 0;
  out.words = value.substr(kHead);
  return out;
}

}  // namespace tailgate
