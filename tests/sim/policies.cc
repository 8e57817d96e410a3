// SPDX-License-Identifier: Apache-2.0
// Compares the policy engine (scan, buffer, decide) with its slow twin over generated traces and policy sets:
//     policies --traces N [--seed N]
// Stops at the first difference and prints the policies and the trace.
#include <fmt/format.h>

#include <cstring>

#include "sim/policy_twin.h"
#include "support/buffer_fixture.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kTracesPerSet = 25;

std::string vote_name(int vote) {
  constexpr const char* kNames[] = {"-", "no", "yes", "drop"};
  return kNames[vote];
}

// Traces of one set, judged by both. Returns how many; -1 after a difference.
long compare(std::uint64_t seed) {
  Random r(seed);
  const bool use_tracestate = r.one_in(3);
  const bool first_match = r.one_in(4);
  PolicyTwin twin(random_policies(r), first_match, use_tracestate);
  std::string yaml;
  for (const PolicySpec& policy : twin.policies()) yaml += "- " + policy.yaml() + "\n";

  BufferLimits limits;
  limits.decision_wait = 1s;
  limits.explain_bytes = 1 << 20;
  BufferFixture engine(limits, yaml, {.use_tracestate = use_tracestate, .sample_on_first_match = first_match});
  if (!engine.policies.errors.empty()) {
    fmt::print("seed {}: {}\n{}", seed, engine.policies.errors[0], yaml);
    return -1;
  }
  std::map<std::string, TwinTrace> traces;
  long judged = 0;
  for (int round = 0; round < 3; ++round) {  // of traces that have nothing in common but the limits
    traces.clear();
    const std::vector<twin::TracesData> requests = random_requests(r, kTracesPerSet);
    // With use_tracestate all close within one second of the clock, and are decided when it is over.
    const Duration start = use_tracestate ? round * 3s + 100ms : round * 2500ms;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      for (const twin::ResourceSpans& resource_spans : requests[i].resource_spans()) {
        std::map<std::string, TwinBatch> batches;
        for (const twin::ScopeSpans& scope_spans : resource_spans.scope_spans()) {
          for (const twin::Span& span : scope_spans.spans())
            batches[span.trace_id()].spans.emplace_back(&scope_spans, &span);
        }
        for (auto& [id, batch] : batches) {
          batch.resource_spans = &resource_spans;
          traces[id].id = id;
          traces[id].batches.push_back(std::move(batch));
        }
      }
      engine.add_request(requests[i].SerializeAsString(), start + i * 100ms);
    }
    std::map<std::string, TwinVerdict> by_randomness;
    if (use_tracestate) {
      by_randomness = twin.decide_second(traces, static_cast<std::uint32_t>((at(start + 1s).time_since_epoch()) / 1s));
    }
    // Closed at different times, so that rate limits see time go by. The engine's order is the twin's.
    for (Duration now = start + 1s; now < start + 2400ms; now += 50ms) {
      std::uint64_t before = engine.buffer.counters().decided_in_all();
      engine.close_due(now);
      const std::uint64_t n = engine.buffer.counters().decided_in_all() - before;
      for (std::uint64_t age = n; age-- != 0;) {
        const ExplainRecord& record = *engine.buffer.recent(age);
        const auto what = engine.buffer.remembered(record);
        const TwinTrace& trace = traces.at(std::string(record.id.view()));
        const double seconds = std::chrono::duration<double>(at(now).time_since_epoch()).count();
        const TwinVerdict wanted = use_tracestate ? by_randomness.at(trace.id) : twin.decide(trace, seconds);
        const std::string decision(kDecisionNames[static_cast<std::size_t>(record.verdict.decision)]);
        const std::string policy =
            record.verdict.policy == 0 ? "" : engine.policies.tables->names.name_of(record.verdict.policy);
        bool same = decision == wanted.decision && policy == wanted.policy && what.votes.size() == wanted.votes.size();
        for (std::size_t v = 0; same && v < wanted.votes.size(); ++v)
          same = static_cast<int>(what.votes[v]) == static_cast<int>(wanted.votes[v]);
        ++judged;
        if (same) continue;
        fmt::print("seed {}: trace {}\n  engine {} by '{}', twin {} by '{}'\n{}", seed, record.id.hex(), decision,
                   policy, wanted.decision, wanted.policy, yaml);
        for (std::size_t v = 0; v < wanted.votes.size() && v < what.votes.size(); ++v) {
          fmt::print("  {}: engine {}, twin {}\n", twin.policies()[v].name, vote_name(static_cast<int>(what.votes[v])),
                     vote_name(static_cast<int>(wanted.votes[v])));
        }
        for (const TwinBatch& batch : trace.batches) {
          fmt::print("{}", batch.resource_spans->resource().DebugString());
          for (const auto& [scope, span] : batch.spans) fmt::print("span {{\n{}}}\n", span->DebugString());
        }
        return -1;
      }
    }
    engine.settle_all();
    if (engine.buffer.traces_held() != 0) {
      fmt::print("seed {}: {} traces were not decided\n", seed, engine.buffer.traces_held());
      return -1;
    }
  }
  return judged;
}

}  // namespace

int main(int argc, char** argv) {
  long wanted = 100'000;
  std::uint64_t seed = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--traces") == 0) wanted = std::atol(argv[i + 1]);
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
  }
  long judged = 0;
  for (; judged < wanted; ++seed) {
    const long n = compare(seed);
    if (n < 0) return 1;
    judged += n;
  }
  fmt::print("{} traces, no difference; the next seed is {}\n", judged, seed);
  return 0;
}
