// SPDX-License-Identifier: Apache-2.0
// Verdicts in words: policy, threshold and exporters by name, for who outlives this process or is another one. Threads:
// any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "decide/policy_set.h"
#include "model/verdict.h"

namespace tailgate {

// `exporters`: their names, by bit.
std::string verdict_words(const Verdict& verdict, const PolicyTables& tables,
                          const std::vector<std::string>& exporters);
// The name of the policy.
std::string_view policy_in_words(std::string_view words);
// `verdict` with the numbers that this process has for those words. Exporters that are not there any more are left out;
// if none is left, all get it.
Verdict verdict_from_words(const Verdict& verdict, std::string_view words, PolicyTables& tables,
                           const std::vector<std::string>& exporters);

}  // namespace tailgate
