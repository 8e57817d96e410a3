// SPDX-License-Identifier: Apache-2.0
// The one-pass scanner over OTLP trace bytes (opentelemetry/proto/trace/v1/trace.proto): finds span boundaries, reads
// the fields a decision can ask for, asks the plan's predicates, and groups spans by trace. Nothing is decoded that no
// policy asked for; span bytes are left where they are.
//
// Pure: no clock, no state beyond the batch. Threads: any, one batch each. Iterative; never reads past the bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "model/span_batch.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

// Spans a batch holds at most. A request with more is handed on in slices, so that what we make of it stays a small
// multiple of one slice and not of the request.
inline constexpr std::size_t kSpansPerSlice = 8192;

struct ScanResult {
  bool ok = true;
  std::string error;          // when not ok: where in the request and what was wrong
  std::uint64_t spans = 0;    // well-formed ones, those with bad ids included
  std::uint64_t bad_ids = 0;  // spans whose trace id, span id or parent id is not one; not in the batch
  std::string first_bad_id;   // where and why, for the sender
};

// Reads `request` (an ExportTraceServiceRequest or TracesData) into `batch`, which must be clear. When the batch holds
// kSpansPerSlice spans `on_slice` is called to take them, after which the batch is cleared and filled further; before
// the first slice is handed on the whole request is checked, so that a malformed one is refused whole. The last spans
// stay in the batch for the caller. `on_slice` returns false to stop; the result counts the whole request even then.
// `watcher`, if any, sees every span that is put into the batch.
ScanResult scan_request(ByteView request, const ScanPlan& plan, SpanBatch& batch,
                        const std::function<bool(SpanBatch&)>& on_slice, SpanWatcher* watcher = nullptr);

// The fields of one Span message. False: malformed. `attributes` has room for plan.attribute_keys().size() views.
bool scan_span(ByteView span, const ScanPlan& plan, SpanFields& fields, ByteView* attributes);

// Asks every predicate about a span / about the resource in a ResourceSpans message or a prefix of one (fields with
// tags), or-ing the answers into `words`.
void ask_span(const ScanPlan& plan, const SpanFields& fields, std::uint64_t* words);
void ask_resource(const ScanPlan& plan, ByteView resource_prefix, ByteView* attributes, std::uint64_t* words);

// The service.name of a resource, of a ResourceSpans message or a prefix of one, as a view into it; "" when it has
// none.
ByteView service_name(ByteView resource_prefix);

}  // namespace tailgate
