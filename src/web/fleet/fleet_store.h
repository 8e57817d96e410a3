// SPDX-License-Identifier: Apache-2.0
// FleetStore: what the members of a cluster have stored, as one store, so that a question to any member finds the
// traces of all. A trace is stored by its home; parts of it may be with another one, when the members changed while it
// was open. A question goes to all others (store_question.h), each answers from its own store, and here the answers are
// put together with what is stored here. Who did not answer is named in the `cut` of a search, and in the error when a
// trace is not found; lists of names and sums leave it out.
//
// Threads: any, several at once. The calls wait for the answers, so they are for threads that may block. A member
// answers others by threads that never ask, so that two members cannot wait for each other.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/page_question.h"
#include "web/cluster.h"
#include "web/fleet/store_question.h"

namespace tailgate {

inline constexpr std::string_view kStoreQuestions = "/store";  // the path under which members ask
inline constexpr std::size_t kStoreAnswerMax = 8 << 20;        // bytes of traces in one answer
inline constexpr std::size_t kStoreAnswersMax = 16 << 20;      // and in all answers to one search

class FleetStore final : public StoreReader {
 public:
  // `others` for names and single traces; `searching` asks the same ones, for as long as it is told.
  FleetStore(std::shared_ptr<StoreReader> own, OtherMembers others, std::function<OtherMembers(Duration)> searching);

  // An error when nobody who answered has the trace, and not all answered.
  Result<StoredTrace> trace(const TraceId& id) override;
  // Of the own store: find_traces() asks the others too, by elsewhere().
  Result<SearchOutcome> search(const SearchRequest& request,
                               const std::function<bool(const StoredTrace&)>& take) override;
  Result<std::vector<std::string>> services(std::uint64_t from_ns, std::uint64_t to_ns) override;
  Result<std::vector<StoredOperation>> operations(const std::string& service,
                                                  std::optional<std::uint32_t> kind) override;
  Result<std::vector<std::string>> attribute_names(std::optional<AttributeScope> scope, const std::string& prefix,
                                                   std::size_t limit) override;
  Result<std::vector<std::string>> attribute_values(std::optional<AttributeScope> scope, const std::string& name,
                                                    const std::string& prefix, std::size_t limit) override;
  Result<std::vector<StoredDependency>> dependencies(std::uint64_t from_ns, std::uint64_t to_ns) override;
  Result<StoreStatus> status() override;  // of the own store

  FoundElsewhere elsewhere(const TraceQuestion& question, Duration time_max);

 private:
  const std::shared_ptr<StoreReader> own_;
  const OtherMembers others_;
  const std::function<OtherMembers(Duration)> searching_;
};

// A member's answer to such a question, from `own`. Takes as long as `limits` allow: not for an I/O thread. `cancelled`
// is asked between two traces.
PageAnswer answer_store_question(StoreReader& own, const SearchLimits& limits, std::string_view question,
                                 const std::function<bool()>& cancelled);

// What one of the others remembers of a trace: asks for it, and returns what waits for the answer, as /explain says it;
// empty: nobody remembers it.
std::function<std::function<std::string()>(const TraceId&)> explained_by(OtherMembers others);

}  // namespace tailgate
