// SPDX-License-Identifier: Apache-2.0
#include "cluster/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "codec/field_reader.h"
#include "model/verdict.h"

namespace tailgate {
namespace {

namespace field {
constexpr std::uint32_t kFrom = 1, kNames = 2, kLeaving = 3, kVerdicts = 4, kPage = 5, kPageAnswer = 6,
                        kSharesLimits = 7, kNeeds = 8, kFresh = 9, kAway = 10;
constexpr std::uint32_t kId = 1, kDecision = 2, kReason = 3, kComplete = 4, kChance = 5, kShed = 6, kWords = 7;
constexpr std::uint32_t kLimit = 1, kPerSecond = 2;
constexpr std::uint32_t kName = 1, kAgeMs = 2;
constexpr std::uint32_t kMethod = 1, kTarget = 2, kBody = 3;
constexpr std::uint32_t kStatus = 1, kAnswerBody = 2;
}  // namespace field

constexpr std::size_t kNameMax = 253;            // a host's, RFC 1035
constexpr std::uint64_t kAgeMaxMs = 86'400'000;  // a day
constexpr std::size_t kTargetMax = 16 << 10;     // of a question for a page

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

void append_fixed64(std::string& out, std::uint32_t number, std::uint64_t value) {
  pb::append_varint(out, pb::tag_of(number, pb::kFixed64));
  for (int byte = 0; byte != 8; ++byte) out.push_back(static_cast<char>(value >> (8 * byte)));
}

std::string write_fresh(const FreshMember& one) {
  std::string out;
  pb::append_len(out, field::kName, one.name);
  append_number(out, field::kAgeMs,
                static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(one.age).count()));
  return out;
}

bool read_fresh(ByteView bytes, FreshMember& out) {
  FieldReader r(bytes);
  while (r.next()) {
    if (r.is_len(field::kName)) {
      out.name = r.bytes;
    } else if (r.is_varint(field::kAgeMs)) {
      out.age = std::chrono::milliseconds(std::min(r.value, kAgeMaxMs));
    }
  }
  return r.ok() && out.name.size() <= kNameMax;
}

std::string write_page(const PageQuestion& page) {
  std::string out;
  pb::append_len(out, field::kMethod, page.method);
  pb::append_len(out, field::kTarget, page.target);
  if (!page.body.empty()) pb::append_len(out, field::kBody, page.body);
  return out;
}

bool read_page(ByteView bytes, PageQuestion& out) {
  FieldReader r(bytes);
  while (r.next()) {
    if (r.is_len(field::kMethod)) {
      out.method = r.bytes;
    } else if (r.is_len(field::kTarget)) {
      out.target = r.bytes;
    } else if (r.is_len(field::kBody)) {
      out.body = r.bytes;
    }
  }
  return r.ok() && out.target.starts_with('/') && out.target.size() <= kTargetMax &&
         (out.method == "GET" || out.method == "POST" || out.method == "DELETE");
}

std::string write_page_answer(const PageAnswer& answer) {
  std::string out;
  append_number(out, field::kStatus, static_cast<std::uint64_t>(answer.status));
  if (!answer.body.empty()) pb::append_len(out, field::kAnswerBody, answer.body);
  return out;
}

bool read_page_answer(ByteView bytes, PageAnswer& out) {
  FieldReader r(bytes);
  while (r.next()) {
    if (r.is_varint(field::kStatus) && r.value >= 100 && r.value <= 599) {
      out.status = static_cast<int>(r.value);
    } else if (r.is_len(field::kAnswerBody)) {
      out.body = r.bytes;
    }
  }
  return r.ok() && out.status != 0;
}

std::string write_need(const LimitNeed& need) {
  std::string out;
  append_fixed64(out, field::kLimit, need.limit);
  append_fixed64(out, field::kPerSecond, std::bit_cast<std::uint64_t>(need.per_second));
  return out;
}

bool read_need(ByteView bytes, LimitNeed& out) {
  FieldReader r(bytes);
  while (r.next()) {
    if (r.is_fixed64(field::kLimit)) {
      out.limit = r.value;
    } else if (r.is_fixed64(field::kPerSecond)) {
      out.per_second = std::bit_cast<double>(r.value);
    }
  }
  return r.ok() && std::isfinite(out.per_second) && out.per_second >= 0;
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
  for (const FreshMember& one : message.fresh) pb::append_len(out, field::kFresh, write_fresh(one));
  append_number(out, field::kLeaving, message.leaving ? 1 : 0);
  append_number(out, field::kAway, message.away ? 1 : 0);
  for (const ToldVerdict& verdict : message.verdicts) pb::append_len(out, field::kVerdicts, write_verdict(verdict));
  if (message.page) pb::append_len(out, field::kPage, write_page(*message.page));
  if (message.page_answer) pb::append_len(out, field::kPageAnswer, write_page_answer(*message.page_answer));
  append_number(out, field::kSharesLimits, message.shares_limits ? 1 : 0);
  for (const LimitNeed& need : message.needs) pb::append_len(out, field::kNeeds, write_need(need));
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
    } else if (r.is_len(field::kFresh)) {
      if (out.fresh.size() == kMembersMax) return bad("more than 256 names");
      if (!read_fresh(r.bytes, out.fresh.emplace_back())) return bad("a member that is fresh cannot be read");
    } else if (r.is_varint(field::kLeaving)) {
      out.leaving = r.value != 0;
    } else if (r.is_varint(field::kAway)) {
      out.away = r.value != 0;
    } else if (r.is_len(field::kVerdicts)) {
      if (out.verdicts.size() == kVerdictsMax) return bad("more than 10,000 verdicts");
      if (!read_verdict(r.bytes, out.verdicts.emplace_back())) return bad("a verdict cannot be read");
    } else if (r.is_len(field::kPage)) {
      if (!read_page(r.bytes, out.page.emplace())) return bad("a question for a page cannot be read");
    } else if (r.is_len(field::kPageAnswer)) {
      if (!read_page_answer(r.bytes, out.page_answer.emplace())) return bad("the answer of a page cannot be read");
    } else if (r.is_varint(field::kSharesLimits)) {
      out.shares_limits = r.value != 0;
    } else if (r.is_len(field::kNeeds)) {
      if (out.needs.size() == kLimitNeedsMax) return bad("needs of more than 1,000 limits");
      if (!read_need(r.bytes, out.needs.emplace_back())) return bad("what a limit needs cannot be read");
    }
  }
  if (!r.ok()) return bad("it is no protobuf");
  return out;
}

}  // namespace tailgate
