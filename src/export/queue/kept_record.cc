// SPDX-License-Identifier: Apache-2.0
#include "export/queue/kept_record.h"

#include "base/hash.h"
#include "codec/protobuf.h"

namespace tailgate {
namespace {

enum Field : std::uint32_t {
  kPushed = 1,
  kTraceId,
  kStart,
  kEnd,
  kErrors,
  kRootService,
  kRootName,
  kHasRoot,
  kLate,
  kReason,
  kComplete,
  kChance,
  kPolicy,
  kPart,
  kParts,
  kSpans,
  kOtlp,  // last in the record
  kOwn,
  kExporter,  // one for each
  kOtlpHash,
  kHeadHash,  // of all before it
};

void put(std::string& out, Field field, std::uint64_t value) {
  if (value == 0) return;
  pb::append_varint(out, pb::tag_of(field, pb::kVarint));
  pb::append_varint(out, value);
}

}  // namespace

std::string write_kept_record(const KeptTrace& t, std::uint64_t pushed_unix_ns,
                              const std::vector<std::string_view>& exporters) {
  std::string out;
  std::size_t names = t.root_service.size() + t.root_name.size() + t.policy.size();
  for (const std::string_view name : exporters) names += name.size() + 3;
  out.reserve(t.otlp.size() + 160 + names);
  put(out, kPushed, pushed_unix_ns);
  pb::append_len(out, kTraceId, t.id.view());
  put(out, kStart, t.start_ns);
  put(out, kEnd, t.end_ns);
  put(out, kErrors, t.errors);
  pb::append_len(out, kRootService, t.root_service);
  pb::append_len(out, kRootName, t.root_name);
  put(out, kHasRoot, t.has_root);
  put(out, kLate, t.late);
  put(out, kReason, static_cast<std::uint64_t>(t.verdict.reason));
  put(out, kComplete, t.verdict.complete);
  put(out, kChance, t.verdict.chance);
  pb::append_len(out, kPolicy, t.policy);
  put(out, kPart, t.part);
  put(out, kParts, t.parts);
  put(out, kSpans, t.spans);
  put(out, kOwn, t.own);
  for (const std::string_view name : exporters) pb::append_len(out, kExporter, name);
  put(out, kOtlpHash, hash_bytes(t.otlp, 0));
  put(out, kHeadHash, hash_bytes(out, 0));
  pb::append_len(out, kOtlp, t.otlp);
  return out;
}

namespace {

// The fields that hold text. The views last as long as the record's bytes.
struct KeptTexts {
  ByteView id, otlp;
};
void take_text(std::uint32_t field, ByteView text, KeptRecord& record, KeptTexts& texts) {
  KeptTrace& t = *record.trace;
  switch (field) {
    case kTraceId:
      texts.id = text;
      break;
    case kRootService:
      t.root_service = text;
      break;
    case kRootName:
      t.root_name = text;
      break;
    case kPolicy:
      t.policy = text;
      break;
    case kExporter:
      record.exporters.emplace_back(text);
      break;
    case kOtlp:
      texts.otlp = text;
      break;
    default:
      break;
  }
}

void take_number(std::uint32_t field, std::uint64_t v, KeptRecord& record) {
  KeptTrace& t = *record.trace;
  switch (field) {
    case kPushed:
      record.pushed_unix_ns = v;
      break;
    case kStart:
      t.start_ns = v;
      break;
    case kEnd:
      t.end_ns = v;
      break;
    case kErrors:
      t.errors = static_cast<std::uint32_t>(v);
      break;
    case kHasRoot:
      t.has_root = v != 0;
      break;
    case kLate:
      t.late = v != 0;
      break;
    case kReason:
      if (v < kCloseReasonNames.size()) t.verdict.reason = static_cast<CloseReason>(v);
      break;
    case kComplete:
      t.verdict.complete = v != 0;
      break;
    case kChance:
      t.verdict.chance = v != 0;
      break;
    case kPart:
      t.part = static_cast<std::uint32_t>(v);
      break;
    case kParts:
      t.parts = static_cast<std::uint32_t>(v);
      break;
    case kOwn:
      t.own = v != 0;
      break;
    case kSpans:
      t.spans = static_cast<std::uint32_t>(v);
      break;
    default:
      break;
  }
}

}  // namespace

std::optional<KeptRecord> read_kept_record(ByteView bytes, bool whole) {
  KeptRecord record;
  record.trace = std::make_shared<KeptTrace>();
  KeptTexts texts;
  std::uint64_t otlp_hash = 0;  // zero: there is none, as in records of earlier versions
  const bool ok = pb::each_field(bytes, [&](const char*& p, const char* end, std::uint32_t tag) {
    ByteView text;
    std::uint64_t number = 0;
    const auto before = static_cast<std::size_t>(p - bytes.data()) - pb::varint_size(tag);
    switch (tag & 7) {
      case pb::kLen:
        if (!pb::read_len(p, end, text)) return false;
        take_text(tag >> 3, text, record, texts);
        return true;
      case pb::kVarint:
        if (!pb::read_varint(p, end, number)) return false;
        if (tag >> 3 == kHeadHash) return number == hash_bytes(bytes.substr(0, before), 0);
        if (tag >> 3 == kOtlpHash) otlp_hash = number;
        take_number(tag >> 3, number, record);
        return true;
      default:
        return pb::skip_value(p, end, tag);
    }
  });
  KeptTrace& t = *record.trace;
  if (!ok || texts.id.size() != t.id.bytes.size()) return std::nullopt;
  t.id = TraceId::from(texts.id.data());
  t.verdict.decision = Decision::kSampled;
  if (!whole) return record;
  if (otlp_hash != 0 && otlp_hash != hash_bytes(texts.otlp, 0)) return std::nullopt;
  t.otlp = texts.otlp;
  return record;
}

}  // namespace tailgate
