// SPDX-License-Identifier: Apache-2.0
// What the spans of a trace weigh in the requests they came in, for policies that count bytes as contrib's do. Pure.
#pragma once

#include "model/span_batch.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

// Fills the batch's ScanPlan::request_bytes counter; does nothing when the plan has none. The batch must be complete:
// scan_request calls this for each slice that it hands on.
void fill_request_bytes(const ScanPlan& plan, SpanBatch& batch);

}  // namespace tailgate
