// What an exporter asks of a trace beyond the policies that kept it: `services` and `attributes`. Asked as spans come
// in, like a policy, so that a trace goes to an exporter whole or not at all, with its late spans.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "decide/policy_set.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

// Text of the first pattern of the rule that is too large to be compiled; "" when all are fine.
std::string bad_pattern(const RouteRule& rule);

// Adds the questions to `plan` and gives their bits: all must be true. Nothing when the rule asks nothing.
std::vector<std::size_t> add_route_filter(const RouteRule& rule, ScanPlan& plan);

}  // namespace tailgate
