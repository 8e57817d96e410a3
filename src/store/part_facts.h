// SPDX-License-Identifier: Apache-2.0
// PartFacts: what the catalogue and the index take from the spans of a part. KnownNames: the names and values that a
// partition has already, so that each is written once; bounded. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "store/reader.h"
#include "store/terms.h"

namespace tailgate {

// Of one partition.
inline constexpr std::size_t kListedServicesMax = 5'000;
inline constexpr std::size_t kKnownOperationsMax = 20'000;
inline constexpr std::size_t kKnownNamesMax = 5'000;
inline constexpr std::size_t kKnownValuesMax = 100'000;
inline constexpr std::size_t kValuesOfNameMax = 300;
inline constexpr std::size_t kKnownTextMax = 256;  // bytes; longer names and values are not remembered

class KnownNames {
 public:
  // True: it is new, and was taken in.
  bool operation(std::string_view service, std::string_view name, std::uint32_t kind);
  bool name(AttributeScope scope, TermHash key);
  bool value(AttributeScope scope, TermHash key, TermHash value);

 private:
  std::unordered_set<std::uint64_t> operations_;
  std::unordered_map<std::uint64_t, std::unordered_set<std::uint64_t>> values_;  // by name
  std::size_t values_in_all_ = 0;
};

struct PartFacts {
  std::vector<TermHash> terms;  // each once
  std::uint64_t longest_ns = 0;
  std::uint64_t start_ns = 0, end_ns = 0;  // of these spans; end is 0 when there are none
  std::vector<std::string> services;       // sorted, each once
  struct Operation {
    std::string service, name;
    std::uint32_t kind = 0;
  };
  struct Name {
    AttributeScope scope;
    std::string name, value;
    bool has_value = false;
  };
  std::vector<Operation> operations;  // those that were not known, likewise the names
  std::vector<Name> names;
  std::map<std::pair<std::string, std::string>, std::uint64_t> calls;  // {parent's service, own service}
};

PartFacts read_part_facts(std::string_view otlp, KnownNames& known);

}  // namespace tailgate
