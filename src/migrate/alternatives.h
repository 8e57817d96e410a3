// SPDX-License-Identifier: Apache-2.0
// Part of migrate.cc: what of a policy may be lost without the rest. A policy that lost one of several alternatives
// keeps a part of the traces that it kept before; one that lost a condition which all traces had to meet would keep
// traces that nobody asked for.
#pragma once

#include <string>

#include "migrate/tree.h"
#include "migrate/way.h"

namespace tailgate {

inline constexpr std::size_t kStepsToPolicy = 3;  // sampling, policies, [i]

struct PolicyPart {
  std::size_t length = kStepsToPolicy;  // steps of the way to what has to go
  std::size_t condition = 0;            // steps to a condition that is one of several alternatives; 0: there is none
  std::string text;                     // what is left out, and what stays

  bool whole() const { return length == kStepsToPolicy; }
};

// The least that can be left out because of what is wrong at the end of `way`, which leads into a policy: one of the
// conditions, values or status codes of which one is enough, or a policy inside `composite`. The whole policy, if that
// was the last one, stands below an odd number of negations, or is needed for another reason.
PolicyPart part_to_leave_out(const Way& way);
void remove_part(const Way& way, const PolicyPart& part);

// Makes of a condition "a or b", to which `length` steps lead, two conditions of its list. False: it has no such `or`.
bool divide_condition(const Way& way, std::size_t length, Trees& trees);

}  // namespace tailgate
