// SPDX-License-Identifier: Apache-2.0
// ConfigNode: one place in a YAML document, with file, line and column, and typed readers that report every problem.
//
//   void read(const ConfigNode& node) {
//     options.threshold = node.integer("threshold_ms", 0, {.min = 0});
//     options.timeout = node.duration("timeout", 5s);
//     node.finish();                                  // keys that were not read are errors with a suggestion
//   }
//
// A reader never throws and never stops: a bad value is recorded in the document's ConfigIssues and the default is
// returned, so that `tailgate check` shows all errors at once. The code that loaded the document looks at the issues at
// the end. Copies are cheap and share the document. A missing key gives a node whose present() is false. Threads: one
// at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/config_issue.h"

namespace tailgate {

struct IntegerRange {
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
};

// The name among `known` that is nearest to `name` by edit distance; "" when none is near. For "did you mean".
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

class ConfigNode {
 public:
  ConfigNode() = default;  // not there

  // --- shape
  bool present() const;  // the key exists (its value may be null)
  bool is_null() const;  // absent or null
  bool is_map() const;
  bool is_list() const;
  bool is_scalar() const;
  const std::string& file() const;
  int line() const;            // from 1
  int column() const;          // from 1
  std::string path() const;    // "sampling.policies[2].latency"
  std::string scalar() const;  // the text of a scalar or of a variable, "" otherwise
  // There is a text: a scalar, or what a variable holds, even where it would be a list or a map as YAML.
  bool is_text() const;
  std::string yaml() const;  // all of it as text, "" when not there; equal values give equal texts

  bool has(std::string_view key) const;  // counts as asked for
  ConfigNode child(
      std::string_view key) const;        // counts as read; not present if the key is absent or this is not a map
  std::vector<ConfigNode> items() const;  // of a list; an error when present, not null and no list
  std::vector<std::pair<std::string, ConfigNode>> entries()
      const;  // of a map, in the order of the file; all count as asked for

  // --- typed values of keys of this map; the default when absent or null, or (with an error recorded) when bad
  std::string text(std::string_view key, std::string_view fallback = "") const;
  std::int64_t integer(std::string_view key, std::int64_t fallback, IntegerRange range = {}) const;
  double number(std::string_view key, double fallback) const;
  bool boolean(std::string_view key, bool fallback) const;
  Duration duration(std::string_view key, Duration fallback, Duration min = Duration::zero()) const;  // "5s"
  std::uint64_t bytes(std::string_view key, std::uint64_t fallback) const;  // "512MiB" or a plain number
  std::vector<std::string> texts(std::string_view key) const;               // a list of scalars
  std::string choice(std::string_view key, std::string_view fallback,
                     const std::vector<std::string_view>& choices) const;

  // The scalar itself as text / integer, for items of a list.
  std::int64_t as_integer(std::int64_t fallback, IntegerRange range = {}) const;

  // --- problems
  void error(std::string_view want) const;                        // at this node: "expected ..., got '...'"
  void error(std::string_view key, std::string_view want) const;  // at the key's value, or at this node if absent
  void notice(std::string_view text) const;
  // Keys the Collector knows and that have no effect here: accepted with one notice each.
  void without_effect(std::initializer_list<std::string_view> keys) const;
  void without_effect(std::string_view hint) const;  // this node; `hint` ends the notice: ", as in the Collector"
  // Makes every key of this map that was not read an error, with the nearest known key as a suggestion.
  void finish() const;

  struct Impl;  // config_node.cc
  explicit ConfigNode(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace tailgate
