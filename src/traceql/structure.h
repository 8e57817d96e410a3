// SPDX-License-Identifier: Apache-2.0
// The operators on the tree of a trace's spans. Each costs a pass over the trace, whatever the sets are.
#pragma once

#include <cstdint>
#include <vector>

#include "traceql/ast.h"
#include "wire/trace/trace_view.h"

namespace tailgate::traceql {

using Spans = std::vector<std::uint32_t>;  // numbers of TraceView::spans(), ascending, each once

// The spans of `right` for which a span of `left` is the parent, an ancestor and so on; negated, for which none is;
// with `both`, also those of `left` that are it. Spans without a path to a root take no part.
Spans related(const TraceView& trace, const SetNode& op, const Spans& left, const Spans& right);

Spans union_of(const Spans& a, const Spans& b);

}  // namespace tailgate::traceql
