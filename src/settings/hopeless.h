// SPDX-License-Identifier: Apache-2.0
// Policies that are valid and can hardly do what they are there for, because of what else is configured. Threads: main.
#pragma once

#include "settings/sampling.h"

namespace tailgate {

// A notice for each: `latency` above decision_wait, `span_count` above trace_spans_max, `probabilistic` of 0, a value
// of `string_attribute` that looks like a pattern and is none, a regular expression in `endpoint`, `latency` without a
// threshold, and what stands behind a policy that keeps everything
// when the first match counts. After the policies were built: it reads all of their keys.
void notice_hopeless_policies(const SamplingConfig& sampling);

}  // namespace tailgate
