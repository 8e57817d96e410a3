// SPDX-License-Identifier: Apache-2.0
// OTLP to the documents that Jaeger keeps in Elasticsearch and OpenSearch (jaeger-span-*): one JSON object per span, as
// Jaeger v2 translates it (its internal/storage/v2/elasticsearch/tracestore). One difference: a negative duration
// becomes 0, since the index refuses negative ones. Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "wire/otlp/span_view.h"

namespace tailgate {

struct JaegerDocument {
  std::string body;  // without line breaks
  std::string id;    // traceID_spanID_fnv64a(body): the same span gives the same id, also after a restart
  std::uint64_t start_ns = 0;
  std::string service;  // for Jaeger's list of services and operations
  std::string operation;
};

// Calls `take` for each span, in order; the document is used again for the next. False when the bytes are malformed.
// `cut` and `choice` as for each_span.
bool each_jaeger_document(ByteView otlp, const std::function<void(const JaegerDocument&)>& take,
                          CutItems* cut = nullptr, SpanChoice* choice = nullptr);

// jaeger-service-*: the document of a service and operation, and its id.
std::string jaeger_service_document(const std::string& service, const std::string& operation);
std::string jaeger_service_id(const std::string& service, const std::string& operation);

// "YYYY-MM-DD" in UTC.
std::string utc_date(std::uint64_t unix_ns);

}  // namespace tailgate
