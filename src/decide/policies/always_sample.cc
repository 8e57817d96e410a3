// SPDX-License-Identifier: Apache-2.0
// always_sample: keeps every trace.
//     - {name: all, type: always_sample}
#include "decide/registry.h"

namespace tailgate {
namespace {

class AlwaysSample final : public Policy {
 public:
  Ballot evaluate(const JudgedTrace&) const override { return ballot(true); }
  std::string why(const AskedVote&) const override { return "keeps every trace"; }
};

}  // namespace

PolicyPtr make_always_sample(const ConfigNode& entry, PolicyBuild&) {
  entry.child("always_sample").finish();
  return std::make_unique<AlwaysSample>();
}

}  // namespace tailgate
