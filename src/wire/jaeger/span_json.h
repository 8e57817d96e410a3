// SPDX-License-Identifier: Apache-2.0
// The parts of a span in Jaeger's JSON, which its documents in Elasticsearch (json.h) and the answers of its query API
// (trace_json.h) have in common. Pure; any thread.
#pragma once

#include <string>

#include "wire/otlp/span_view.h"

namespace tailgate {

// The two differ where nobody would expect it.
enum class JaegerJson {
  kDocument,  // bytes in hex; `error` and `span.kind` are fields; of statuses only OK is a tag of its own
  kAnswer,    // bytes in base64; whole numbers that JavaScript rounds are texts; ids as Jaeger writes them
};

void append_jaeger_trace_id(std::string& out, ByteView trace_id, JaegerJson form);
void append_jaeger_tags(std::string& out, const ScopeView& scope, const SpanView& span, JaegerJson form);
void append_jaeger_references(std::string& out, const SpanView& span, JaegerJson form);
void append_jaeger_logs(std::string& out, const SpanView& span, JaegerJson form);
// The process that a resource is. Sets `service` too.
std::string jaeger_process(const ResourceView& resource, std::string& service, JaegerJson form);

}  // namespace tailgate
