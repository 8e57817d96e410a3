// SPDX-License-Identifier: Apache-2.0
#include "receive/kafka/record_format.h"

#include <cstring>

#include "codec/protobuf.h"
#include "wire/jaeger/proto.h"
#include "wire/otlp/json_read.h"
#include "wire/zipkin/zipkin.h"

namespace tailgate {
namespace {

Result<void> append_bytes(ByteView bytes, ByteSink& out) {
  if (bytes.empty()) return {};
  char* const at = out.reserve(bytes.size());
  if (at == nullptr) return fail(ErrorKind::kRefused, "no room for the record");
  std::memcpy(at, bytes.data(), bytes.size());
  out.commit(at + bytes.size());
  return {};
}

// The lengths of a record that is cut off would reach into the next one.
Result<void> append_otlp(ByteView record, ByteSink& out) {
  const bool whole = pb::each_field(
      record, [](const char*& p, const char* end, std::uint32_t tag) { return pb::skip_value(p, end, tag); });
  if (!whole) return fail(ErrorKind::kBadInput, "not an OTLP request: a field is cut off or malformed");
  return append_bytes(record, out);
}

Result<void> append_json(ByteView record, ByteSink& out, ConversionRoom& room) {
  const Result<OtlpFromJson> otlp = otlp_json_to_proto(record, &room);
  if (!otlp) return tl::unexpected<Error>(otlp.error());
  out.count_repaired(otlp->repaired_texts);
  return append_bytes(otlp->bytes, out);
}

// The span as the only one of a request's batch.
Result<void> append_jaeger(ByteView span, ByteSink& out) {
  std::string batch, request;
  pb::append_len(batch, 1, span);
  pb::append_len(request, 1, batch);
  return jaeger_proto_to_otlp(request, out);
}

}  // namespace

Result<void> append_record(RecordFormat format, ByteView record, ByteSink& out, ConversionRoom& room) {
  switch (format) {
    case RecordFormat::kOtlpProto:
      return append_otlp(record, out);
    case RecordFormat::kOtlpJson:
      return append_json(record, out, room);
    case RecordFormat::kJaegerProto:
      return append_jaeger(record, out);
    case RecordFormat::kZipkinJson:
      return zipkin_json_to_otlp(record, {}, out);
  }
  return {};
}

}  // namespace tailgate
