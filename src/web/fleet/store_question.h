// SPDX-License-Identifier: Apache-2.0
// What members of a cluster ask each other about their stores, and what they answer, as JSON: {"ask": "trace", "id"},
// "search", "services", "operations", "names", "values" or "dependencies", each with what the method of StoreReader
// takes. It comes from outside: what is missing or of another type is an error that names it. Unknown keys are left
// alone, so that versions can talk. Pure; any thread.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/reader.h"
#include "web/trace_search.h"

namespace tailgate {

struct StoreQuestion {
  enum class Ask : std::uint8_t { kTrace, kSearch, kServices, kOperations, kNames, kValues, kDependencies };
  Ask ask = Ask::kTrace;
  TraceId id = {};                      // kTrace
  TraceQuestion search = {};            // kSearch; of kServices and kDependencies the times
  std::uint64_t time_ms = 0;            // kSearch: what it may take
  std::uint64_t bytes_max = 0;          // kSearch: of the answer
  std::string service = {}, name = {};  // kOperations; kValues
  std::string prefix = {};              // kNames, kValues, likewise the next two
  std::optional<AttributeScope> scope = {};
  std::uint64_t limit = 0;
  std::optional<std::uint32_t> kind = {};  // kOperations
};

struct StoreAnswer {
  std::vector<StoredTrace> traces;  // each with its id and its bytes
  SearchOutcome outcome;
  std::vector<std::string> names;
  std::vector<StoredOperation> operations;
  std::vector<StoredDependency> dependencies;
};

std::string write_store_question(const StoreQuestion& question);
std::string write_store_answer(const StoreAnswer& answer);
// Errors: kBadInput.
Result<StoreQuestion> read_store_question(std::string_view text);
Result<StoreAnswer> read_store_answer(std::string_view text);

}  // namespace tailgate
