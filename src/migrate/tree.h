// SPDX-License-Identifier: Apache-2.0
// Part of migrate.cc: trees that remember the place in the Collector's file that each value came from.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/yaml_value.h"

namespace tailgate {

// A place in the Collector's file.
struct Origin {
  YamlPlace place;
  std::string path;

  bool operator==(const Origin&) const = default;
};

enum class Lost : std::uint8_t { kPolicy, kPartOfPolicy, kComponent, kPipeline, kSetting };

// Everything that is said on standard error.
class Report {
 public:
  struct Line {
    Origin at;
    std::string text;          // without place and path
    std::optional<Lost> lost;  // nothing: a note

    bool operator==(const Line&) const = default;
  };

  explicit Report(std::string file) : file_(std::move(file)) {}

  // What is lost follows from the path, if it is not said: "receivers.kafka" is a component.
  void loss(const Origin& at, std::string_view text, std::optional<Lost> what = std::nullopt);
  // Parts of policies at or below `path`: what they were parts of is lost.
  void forget_parts(std::string_view path);
  void note(const Origin& at, std::string_view text) { add({at, std::string(text), std::nullopt}); }
  std::vector<Line> lines() const;  // in the order of the file, each once
  std::string message(const Line& line) const;
  std::string summary() const;  // "c.yaml: 1 policy and 3 components lost, 9 notes"

 private:
  void add(Line line);

  std::string file_;
  std::vector<Line> lines_;
};

// The Collector's document, and copies of its parts that may be changed.
class Trees {
 public:
  explicit Trees(YamlValuePtr source);

  const YamlValue& source() const { return *source_; }
  // Where a value of the source or of a copy came from; where its nearest parent did when it was made.
  Origin origin(const YamlValue* value) const;
  Origin origin(const YamlValue* parent, std::string_view key) const;

  YamlValuePtr copy(const YamlValue& value);
  YamlValuePtr map(const Origin& from);
  YamlValuePtr scalar(std::string text, const Origin& from);

 private:
  void index(const YamlValue& value, const std::string& path);

  YamlValuePtr source_;
  std::unordered_map<const YamlValue*, Origin> origins_;
  std::vector<YamlValuePtr> made_;  // keeps addresses from being used again
};

// The value at `path`, null when something on the way is not there or no map.
const YamlValue* look_up(const YamlValue* at, std::initializer_list<std::string_view> path);
YamlValuePtr* entry(YamlValue& map, std::string_view key);  // null when it is not there
void put(YamlValue& map, std::string_view key, YamlValuePtr value);
YamlValuePtr take(YamlValue& map, std::string_view key);  // removes it; null when it was not there

bool is_null(const YamlValue* value);
std::string text_of(const YamlValue* value, std::string_view fallback = "");
// Whether `path` is `parent` or leads on from it.
bool is_below(std::string_view path, std::string_view parent);
// The part of "type/name" before the slash.
std::string_view type_of(std::string_view id);

bool has_reference(std::string_view text);   // ${...}
bool has_reference(const YamlValue& value);  // in it or below
// The first reference that is not to the environment, "" when there is none.
std::string foreign_reference(std::string_view text);

}  // namespace tailgate
