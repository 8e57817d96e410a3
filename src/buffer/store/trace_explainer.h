// SPDX-License-Identifier: Apache-2.0
// TraceExplainer: why traces were kept or not, put together from what the shards remember (TraceBuffer::Remembered) and
// the policies that voted.
//
// Threads: any. Takes the shards' locks one after another, for at most 1,000 records at a time.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "buffer/store/policy_history.h"
#include "buffer/store/shard.h"
#include "model/explanation.h"

namespace tailgate {

class TraceExplainer {
 public:
  // All of them outlive the explainer.
  TraceExplainer(const Shards& shards, const PolicyTables& tables, const PolicyHistory& policies)
      : shards_(shards), tables_(tables), policies_(policies) {}

  // What is known of a trace, open or among the last decided.
  std::optional<Explanation> explain(const TraceId& id) const;
  // The last decided traces that match, newest first. Looks at no more than some 100,000 of each shard. Fails
  // (kBadInput) when it asks for what is not there.
  Result<std::vector<Explanation>> recent(const ExplainQuery& query) const;

 private:
  Explanation explanation(Shard& shard, TraceBuffer::Remembered&& what) const;
  void explain_votes(const TraceBuffer::Remembered& what, Explanation& out) const;

  const Shards& shards_;
  const PolicyTables& tables_;
  const PolicyHistory& policies_;
};

}  // namespace tailgate
