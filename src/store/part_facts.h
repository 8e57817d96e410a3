// SPDX-License-Identifier: Apache-2.0
// FactReader: what the catalogue and the index take from the spans of a part. KnownNames: the names and values that a
// partition has already, so that each is written once; bounded. One thread.
#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
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

// An attribute's name, of which something is known.
struct KnownName {
  struct InScope {
    bool taken = false;
    boost::unordered_flat_set<TermHash> values = {};
  };
  std::array<InScope, kAttributeScopes> scopes;
  // For FactReader: the part that had it last, and in which scopes, as bits.
  std::uint64_t part = 0;
  std::uint32_t scopes_there = 0;
};

struct PartFacts;

class KnownNames {
 public:
  struct Found {
    KnownName* name;  // null when there is no room; stays where it is
    bool fresh;       // new in this scope, and was taken in
  };
  Found name(AttributeScope scope, TermHash key);
  // Whether there is room for one more.
  bool takes_values(const KnownName& name, AttributeScope scope) const {
    const KnownName::InScope& in = name.scopes[static_cast<std::size_t>(scope)];
    return in.taken && in.values.size() < kValuesOfNameMax && values_in_all_ < kKnownValuesMax;
  }
  // True, as below: it is new, and was taken in.
  bool value(KnownName& name, AttributeScope scope, TermHash value) {
    if (!takes_values(name, scope)) return false;
    const bool fresh = name.scopes[static_cast<std::size_t>(scope)].values.insert(value).second;
    values_in_all_ += fresh ? 1 : 0;
    return fresh;
  }
  // `service`: service_hash of it.
  bool operation(std::uint64_t service, TermHash name, std::uint32_t kind);
  static std::uint64_t service_hash(std::string_view service) { return hash_bytes(service, 0); }
  // What was new to this part is so again, since the part is not in the partition.
  void forget(const PartFacts& facts);

 private:
  boost::unordered_flat_set<std::uint64_t> operations_;
  boost::unordered_flat_map<TermHash, std::unique_ptr<KnownName>> names_;
  std::size_t names_in_all_ = 0, values_in_all_ = 0;  // in each scope
};

struct PartFacts {
  std::int64_t content = 0;     // a hash of its bytes
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
  struct Calls {
    std::size_t parent, child;  // of `services`
    std::uint64_t calls;
  };
  std::vector<Calls> calls;  // each pair once
};

// Keeps its memory from part to part.
class FactReader {
 public:
  FactReader();
  ~FactReader();
  PartFacts read(std::string_view otlp, KnownNames& known);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailgate
