// SPDX-License-Identifier: Apache-2.0
// Route filters: the `services` and `attributes` that an exporter demands of a kept trace. They are asked as spans come
// in, like a policy, so that an exporter gets a trace whole, late spans included, or not at all.
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
