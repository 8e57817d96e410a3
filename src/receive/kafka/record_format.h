// SPDX-License-Identifier: Apache-2.0
// The encodings of records: what a record of each holds, as OTLP bytes. Pure functions; any thread.
#pragma once

#include <array>
#include <string_view>

#include "base/enum_names.h"
#include "base/result.h"
#include "codec/byte_sink.h"

namespace tailgate {

// As the Collector names them.
enum class RecordFormat : std::uint8_t { kOtlpProto, kOtlpJson, kJaegerProto, kZipkinJson };
inline constexpr std::array<std::string_view, 4> kRecordFormatNames = {"otlp_proto", "otlp_json", "jaeger_proto",
                                                                       "zipkin_json"};
static_assert(names_end_with(kRecordFormatNames, RecordFormat::kZipkinJson, "zipkin_json"));

// Appends the ExportTraceServiceRequest of a record to `out`; those of several records, one behind the other, are one
// request. An otlp_* record is a request, a jaeger_proto record one Span of jaeger.api_v2 with its process, a
// zipkin_json record an array of spans. Errors: kBadInput with the place, kRefused when the sink's room is used up; the
// caller truncates what was appended until then. `room` is the sink's.
Result<void> append_record(RecordFormat format, ByteView record, ByteSink& out, ConversionRoom& room);

}  // namespace tailgate
