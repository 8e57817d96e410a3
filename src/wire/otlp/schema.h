// SPDX-License-Identifier: Apache-2.0
// OTLP's messages: the numbers of their fields. From opentelemetry-proto v1.11; each namespace names its file below
// opentelemetry/proto/. schema_table.h has the fields with their types, for code that reads or writes all of them.
#pragma once

#include <cstdint>

#include "codec/protobuf.h"

namespace tailgate {

// Span.SpanKind of trace/v1/trace.proto
enum class SpanKind : std::int32_t {
  kUnspecified = 0,
  kInternal = 1,
  kServer = 2,
  kClient = 3,
  kProducer = 4,
  kConsumer = 5
};
// Status.StatusCode of trace/v1/trace.proto
enum class StatusCode : std::int32_t { kUnset = 0, kOk = 1, kError = 2 };

namespace otlp {

// collector/trace/v1/trace_service.proto: ExportTraceServiceRequest. TracesData of trace/v1/trace.proto is the same.
namespace request {
enum : std::uint32_t { kResourceSpans = 1 };
}
// collector/trace/v1/trace_service.proto: ExportTraceServiceResponse, ExportTracePartialSuccess
namespace response {
enum : std::uint32_t { kPartialSuccess = 1 };
}
namespace partial_success {
enum : std::uint32_t { kRejectedSpans = 1, kErrorMessage = 2 };
}

// trace/v1/trace.proto
namespace resource_spans {
enum : std::uint32_t { kResource = 1, kScopeSpans = 2, kSchemaUrl = 3 };
}
namespace scope_spans {
enum : std::uint32_t { kScope = 1, kSpans = 2, kSchemaUrl = 3 };
}
namespace span {
enum : std::uint32_t {
  kTraceId = 1,
  kSpanId = 2,
  kTraceState = 3,
  kParentSpanId = 4,
  kName = 5,
  kKind = 6,
  kStartTime = 7,
  kEndTime = 8,
  kAttributes = 9,
  kDroppedAttributes = 10,
  kEvents = 11,
  kDroppedEvents = 12,
  kLinks = 13,
  kDroppedLinks = 14,
  kStatus = 15,
  kFlags = 16,
  // A varint that is not part of OTLP: 1 marks a span whose sender asked for its trace to be kept (Jaeger's DEBUG,
  // Zipkin's debug), which OTLP cannot say. Conversions write it, the scanner reads it, and everyone else skips it as
  // an unknown field; a bit of `flags` would be passed on by all who read it.
  kKeepMark = 1990,
};
}
namespace event {
enum : std::uint32_t { kTime = 1, kName = 2, kAttributes = 3, kDroppedAttributes = 4 };
}
namespace link {
enum : std::uint32_t {
  kTraceId = 1,
  kSpanId = 2,
  kTraceState = 3,
  kAttributes = 4,
  kDroppedAttributes = 5,
  kFlags = 6
};
}
namespace status {
enum : std::uint32_t { kMessage = 2, kCode = 3 };
}

// resource/v1/resource.proto
namespace resource {
enum : std::uint32_t { kAttributes = 1, kDroppedAttributes = 2, kEntityRefs = 3 };
}

// common/v1/common.proto. `scope` is InstrumentationScope.
namespace scope {
enum : std::uint32_t { kName = 1, kVersion = 2, kAttributes = 3, kDroppedAttributes = 4 };
}
namespace entity_ref {
enum : std::uint32_t { kSchemaUrl = 1, kType = 2, kIdKeys = 3, kDescriptionKeys = 4 };
}
namespace key_value {
enum : std::uint32_t { kKey = 1, kValue = 2 };
}
namespace any_value {
enum : std::uint32_t { kString = 1, kBool = 2, kInt = 3, kDouble = 4, kArray = 5, kMap = 6, kBytes = 7 };
}
// ArrayValue and KeyValueList: both have their elements in one field.
namespace list {
enum : std::uint32_t { kValues = 1 };
}

// Tags of what nearly every attribute is made of.
inline constexpr std::uint32_t kKeyTag = pb::tag_of(key_value::kKey, pb::kLen);
inline constexpr std::uint32_t kValueTag = pb::tag_of(key_value::kValue, pb::kLen);
inline constexpr std::uint32_t kStringTag = pb::tag_of(any_value::kString, pb::kLen);

}  // namespace otlp
}  // namespace tailgate
