// SPDX-License-Identifier: Apache-2.0
#include "cluster/message.h"

#include <fmt/format.h>

#include "codec/field_reader.h"
#include "model/verdict.h"

namespace tailgate {
namespace {

namespace field {
constexpr std::uint32_t kFrom = 1, kNames = 2, kLeaving = 3, kVerdicts = 4, kExplain = 5, kExplanation = 6;
constexpr std::uint32_t kId = 1, kDecision = 2, kReason = 3, kComplete = 4, kChance = 5, kShed = 6, kWords = 7;
}  // namespace field

constexpr std::size_t kNameMax = 253;  // a host's, RFC 1035

void append_number(std::string& out, std::uint32_t number, std::uint64_t value) {
  if (value == 0) return;
  pb::append_varint(out, pb::tag_of(number, pb::kVarint));
  pb::append_varint(out, value);
}

std::string write_verdict(const ToldVerdict& v) {
  std::string out;
  pb::append_len(out, field::kId, v.id.view());
  append_number(out, field::kDecision, v.decision);
  append_number(out, field::kReason, v.reason);
  append_number(out, field::kComplete, v.complete ? 1 : 0);
  append_number(out, field::kChance, v.chance ? 1 : 0);
  append_number(out, field::kShed, v.shed ? 1 : 0);
  if (!v.words.empty()) pb::append_len(out, field::kWords, v.words);
  return out;
}

std::optional<TraceId> read_id(ByteView bytes) {
  if (bytes.size() != 16) return std::nullopt;
  const TraceId id = TraceId::from(bytes.data());
  return id.is_zero() ? std::nullopt : std::optional(id);
}

// False: it is none. A decision or a reason that is not known here comes from a later version.
bool read_verdict(ByteView bytes, ToldVerdict& out) {
  FieldReader r(bytes);
  bool has_id = false;
  std::uint64_t decision = 0, reason = 0;
  while (r.next()) {
    if (r.is_len(field::kId)) {
      const std::optional<TraceId> id = read_id(r.bytes);
      if (!id) return false;
      out.id = *id;
      has_id = true;
    } else if (r.is_varint(field::kDecision)) {
      decision = r.value;
    } else if (r.is_varint(field::kReason)) {
      reason = r.value;
    } else if (r.is_varint(field::kComplete)) {
      out.complete = r.value != 0;
    } else if (r.is_varint(field::kChance)) {
      out.chance = r.value != 0;
    } else if (r.is_varint(field::kShed)) {
      out.shed = r.value != 0;
    } else if (r.is_len(field::kWords)) {
      out.words = r.bytes;
    }
  }
  if (!r.ok() || !has_id || decision >= kDecisionNames.size() || reason >= kCloseReasonNames.size()) return false;
  out.decision = static_cast<std::uint8_t>(decision);
  out.reason = static_cast<std::uint8_t>(reason);
  return true;
}

Result<ClusterMessage> bad(std::string_view what) {
  return fail(ErrorKind::kBadInput, fmt::format("a message of a member: {}", what));
}

}  // namespace

std::string write_message(const ClusterMessage& message) {
  std::string out;
  if (!message.from.empty()) pb::append_len(out, field::kFrom, message.from);
  for (const std::string& name : message.names) pb::append_len(out, field::kNames, name);
  append_number(out, field::kLeaving, message.leaving ? 1 : 0);
  for (const ToldVerdict& verdict : message.verdicts) pb::append_len(out, field::kVerdicts, write_verdict(verdict));
  if (message.explain) pb::append_len(out, field::kExplain, message.explain->view());
  if (!message.explanation.empty()) pb::append_len(out, field::kExplanation, message.explanation);
  return out;
}

Result<ClusterMessage> read_message(ByteView bytes) {
  ClusterMessage out;
  FieldReader r(bytes);
  while (r.next()) {
    if (r.is_len(field::kFrom)) {
      if (r.bytes.size() > kNameMax) return bad("the name of the sender is longer than 253 bytes");
      out.from = r.bytes;
    } else if (r.is_len(field::kNames)) {
      if (r.bytes.size() > kNameMax) return bad("a name is longer than 253 bytes");
      if (out.names.size() == kMembersMax) return bad("more than 256 names");
      out.names.emplace_back(r.bytes);
    } else if (r.is_varint(field::kLeaving)) {
      out.leaving = r.value != 0;
    } else if (r.is_len(field::kVerdicts)) {
      if (out.verdicts.size() == kVerdictsMax) return bad("more than 10,000 verdicts");
      if (!read_verdict(r.bytes, out.verdicts.emplace_back())) return bad("a verdict cannot be read");
    } else if (r.is_len(field::kExplain)) {
      out.explain = read_id(r.bytes);
      if (!out.explain) return bad("expected a trace id of 16 bytes, not zero");
    } else if (r.is_len(field::kExplanation)) {
      out.explanation = r.bytes;
    }
  }
  if (!r.ok()) return bad("it is no protobuf");
  return out;
}

}  // namespace tailgate
