// SPDX-License-Identifier: Apache-2.0
#include "migrate/way.h"

#include <algorithm>
#include <charconv>

#include "migrate/tree.h"

namespace tailgate {

using Kind = YamlValue::Kind;

Way find_way(YamlValue& root, std::string_view path) {
  Way way;
  way.values.push_back(&root);
  while (!path.empty()) {
    YamlValue& at = *way.values.back();
    Step step;
    YamlValue* next = nullptr;
    std::size_t taken = 0;
    if (at.kind == Kind::kList && path.starts_with('[')) {
      const std::size_t end = path.find(']');
      if (end == std::string_view::npos) break;
      std::from_chars(path.data() + 1, path.data() + end, step.index);
      if (step.index < at.items.size()) next = at.items[step.index].get();
      taken = end + 1;
    }
    for (const YamlEntry& e : at.entries) {  // keys may have dots in them: the longest that fits
      const std::string_view after = path.substr(std::min(path.size(), e.key.size()));
      if (!path.starts_with(e.key) || (!after.empty() && after[0] != '.' && after[0] != '[')) continue;
      if (next != nullptr && e.key.size() <= step.key.size()) continue;
      step.key = e.key;
      next = e.value.get();
      taken = e.key.size();
    }
    if (next == nullptr) break;
    way.values.push_back(next);
    way.steps.push_back(step);
    path.remove_prefix(taken);
    if (path.starts_with('.')) path.remove_prefix(1);
  }
  way.rest = path;
  return way;
}

void remove(const Way& way, std::size_t length) {
  YamlValue& parent = *way.values[length - 1];
  const Step& step = way.steps[length - 1];
  if (parent.kind == Kind::kList) {
    parent.items.erase(parent.items.begin() + static_cast<std::ptrdiff_t>(step.index));
  } else {
    take(parent, step.key);
  }
}

}  // namespace tailgate
