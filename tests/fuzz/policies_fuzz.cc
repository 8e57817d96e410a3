// SPDX-License-Identifier: Apache-2.0
// Any bytes as a list of policies: compiling them ends with policies or errors, and what has compiled judges a trace.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/config_file.h"
#include "decide/policy_set.h"
#include "support/random_otlp.h"
#include "wire/otlp/scan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailgate;
  if (size > 16384) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  LoadOptions options;
  options.environment = [](const std::string&) { return std::optional<std::string>(); };
  const auto document = load_config_text(text, "fuzz.yaml", options);
  if (!document) return 0;
  PolicyTables tables;
  const PolicySetPtr set =
      PolicySet::build(document->root.child("policies").items(), document->root.child("shadow_policies").items(), {{}},
                       tables, {.use_tracestate = size % 2 == 0, .sample_on_first_match = size % 3 == 0});
  if (!document->issues->errors.empty()) return 0;
  set->activate();
  SpanBatch batch;
  const std::string request = test::RandomOtlp(size).request();
  scan_request(request, set->plan(), batch, [](SpanBatch&) { return true; });
  PolicyTally tally;
  std::vector<Ballot> ballots;
  for (std::uint32_t t = 0; t < batch.traces.size(); ++t) {
    const std::uint64_t* const words = batch.words_of(t);
    JudgedTrace trace{batch.traces[t].id, batch.traces[t].facts, words, words + set->plan().bit_words()};
    if (!set->decide(trace, tally, ballots)) {
      trace.interval = 1;
      set->decide(trace, tally, ballots);
    }
  }
  return 0;
}
