// SPDX-License-Identifier: Apache-2.0
// YamlValue: the tree of a YAML document, for this room and for `tailgate migrate`, which changes documents. Code that
// only reads uses ConfigNode. Nodes that an anchor names are shared, so this is a graph without cycles. Its size
// written out in full is bounded, and so is its depth (yaml-cpp refuses more than 500 levels).
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tailgate {

struct YamlValue;
using YamlValuePtr = std::shared_ptr<YamlValue>;

struct YamlPlace {
  int line = 1;  // from 1
  int column = 1;

  auto operator<=>(const YamlPlace&) const = default;
};

struct YamlEntry {
  std::string key;
  YamlPlace place;  // of the key
  YamlValuePtr value;
};

struct YamlValue {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  bool expanded = false;  // environment references are replaced
  bool closed = true;     // false while its content is being parsed
  YamlPlace place;
  std::shared_ptr<const std::string> file;
  std::string text;                     // of a scalar
  bool quoted = false;                  // the scalar stood in quotes or as a block
  std::optional<std::string> original;  // the environment's text this value was parsed from; string fields take it
  std::vector<YamlEntry> entries;       // of a map, in the order of the file, keys unique
  std::vector<YamlValuePtr> items;      // of a list
  std::uint64_t size = 1;               // nodes when aliases are written out
  std::vector<std::string> comments;    // lines that write_yaml() puts before it; parse_yaml() reads none

  const YamlEntry* find(std::string_view key) const {
    for (const YamlEntry& e : entries) {
      if (e.key == key) return &e;
    }
    return nullptr;
  }
};

// Parses one document; `origin` is where the text begins. Syntax errors, duplicate keys, keys that are not scalars and
// aliases that grow past a million nodes are errors with their place. An empty text is null.
Result<YamlValuePtr> parse_yaml(std::string_view text, const std::string& file, YamlPlace origin = {});

// "file:line:column: path: want, got ...": the one form of every message of the room.
std::string config_message(std::string_view file, YamlPlace place, std::string_view path, std::string_view text);

// What came, for messages: 'text' (shortened, control characters as \xNN), "nothing", "a list", "a map".
std::string describe(const YamlValue* value);
std::string quote_for_message(std::string_view text);
// The text with everything that ends a line, in YAML too, as \xNN.
std::string single_line(std::string_view text);

}  // namespace tailgate
