// SPDX-License-Identifier: Apache-2.0
// The policies' slow, plain twin: written from the descriptions of contrib's tail_sampling v0.164 (docs/policies.md,
// docs/compatibility.md) over parsed messages, one straightforward loop per question. It shares no code with
// src/decide.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "otlp_twin.pb.h"
#include "support/random_otlp.h"

namespace tailgate::test {

// A trace as it was received: per request and resource the spans of it, in order.
struct TwinBatch {
  const twin::ResourceSpans* resource_spans = nullptr;
  std::vector<std::pair<const twin::ScopeSpans*, const twin::Span*>> spans;
};
struct TwinTrace {
  std::string id;
  std::vector<TwinBatch> batches;
};

struct PolicySpec {
  std::string name, type;
  // What the types need; unused ones stay empty.
  std::optional<std::int64_t> low, high;
  std::string key;
  std::vector<std::string> values;
  bool flag = false;  // regex, or a boolean attribute's value
  bool invert = false;
  double percentage = 0;
  std::vector<PolicySpec> parts;
  std::vector<double> shares;      // composite: percent by part, 0 none
  std::vector<std::size_t> order;  // composite: policy_order, indices of parts

  std::string yaml() const;
};

enum class TwinVote { kNotAsked, kNotSampled, kSampled, kDropped };

struct TwinVerdict {
  std::string decision, policy;
  std::vector<TwinVote> votes;  // drop policies first
};

// Keeps what rate limits keep between traces.
class PolicyTwin {
 public:
  PolicyTwin(std::vector<PolicySpec> policies, bool first_match, bool use_tracestate);
  TwinVerdict decide(const TwinTrace& trace, double now_seconds);
  // With use_tracestate: traces that close in the same second of the clock. Those who ask a limit for room are its
  // candidates, and the second's end decides by randomness.
  std::map<std::string, TwinVerdict> decide_second(const std::map<std::string, TwinTrace>& traces,
                                                   std::uint32_t second);
  const std::vector<PolicySpec>& policies() const { return policies_; }  // in the order they are asked

 private:
  struct Bucket {
    double tokens = 0, at = 0;
    bool begun = false;
    std::map<std::string, double> spent;  // composite: by part and "" in all, this second
    double second = -1;
  };
  enum class Answer { kNo, kYes, kWaits };
  // A limit that chooses by randomness: of composite, one per part, cut in their order under the total.
  struct Lane {
    double rate = 0, burst = 0, left = 0;
    std::vector<std::pair<std::uint64_t, double>> candidates;  // randomness, cost
    std::uint64_t threshold = 0;
  };
  struct Lottery {
    std::vector<Lane> lanes;
    double total = -1;  // composite's
    double last_cut = -1;
    bool asked = false;  // this second
  };

  Answer keeps(const PolicySpec& policy, const TwinTrace& trace, double now, const std::string& path);
  Answer limited(const std::string& path, std::size_t lane, const TwinTrace& trace, double cost);
  void cut(Lottery& lottery, std::uint32_t second);
  // Nothing when it waits for the second's end.
  std::optional<TwinVerdict> judge(const TwinTrace& trace, double now);

  std::vector<PolicySpec> policies_;
  bool first_match_, use_tracestate_;
  std::map<std::string, Bucket> buckets_;
  std::map<std::string, Lottery> lotteries_;
  bool second_over_ = false;  // the lotteries are cut
};

// Random policies and requests. Requests hold spans of `traces` different ids.
std::vector<PolicySpec> random_policies(Random& r);
std::vector<twin::TracesData> random_requests(Random& r, std::size_t traces);

}  // namespace tailgate::test
