// SPDX-License-Identifier: Apache-2.0
// Part of migrate.cc: a path into a tree, step by step.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml_value.h"

namespace tailgate {

struct Step {
  std::string key;        // of a map
  std::size_t index = 0;  // of a list, where key is empty
};

// As far as a path leads: values[0] is the root, steps[i] leads from values[i] to values[i + 1].
struct Way {
  std::vector<YamlValue*> values;
  std::vector<Step> steps;
  std::string rest;  // of the path, that is not there
};

Way find_way(YamlValue& root, std::string_view path);
// Removes what the first `length` steps lead to; `length` is 1 or more.
void remove(const Way& way, std::size_t length);

}  // namespace tailgate
